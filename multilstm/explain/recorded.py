"""The explanation of answers that another program recorded, which cannot be executed again.

The reference is executed with simple changes of the whole model: other gate orders, another bias of the forget gate,
another `hard_sigmoid`, no mask. A change that reproduces every recorded answer is the likely fault of the program.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import NamedTuple

import numpy as np

from multilstm.cases.case import Case
from multilstm.compare import AGREES, Quantity, Tolerance, compare_batches, tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.explain.finding import Finding
from multilstm.explain.gate import GATES
from multilstm.jobs.job import Job
from multilstm.spec import LSTM, Activation, Embedding, Graph, Layer, Masking
from multilstm.spec.arrays import Array

__all__ = ["explain_recorded"]

SIGMOIDS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras2")


class Change(NamedTuple):
    """A change of a whole model.

    Attributes:
        name: the change, as a clause after "as if".
        spec: the changed model.
        weights: the changed weights.
    """

    name: str
    spec: Graph
    weights: Mapping[str, Array]


def explain_recorded(case: Case, recorded: Quantities, desired: Quantities, dtype: str, options: Options) -> Finding:
    """Return the first place at which recorded answers diverge, and the changes of the model that reproduce them.

    Args:
        case: the case, whose inputs the other program had.
        recorded: the recorded answers, some of the model's forward quantities; one of them diverges.
        desired: the reference's answers for the same quantities.
        dtype: the dtype in which the answers are judged.
        options: device and tolerances of the run.
    """

    def agree(quantities: Quantities) -> Iterator[bool]:
        for quantity, arrays in recorded.items():
            row = _row(quantity, dtype, options)
            desired = quantities.get(quantity, [])[: len(arrays)]
            yield compare_batches(quantity, arrays, desired, row).verdict in AGREES

    wrong = [quantity for quantity, right in zip(recorded, agree(desired), strict=True) if not right]
    first = min(wrong, key=lambda quantity: _position(case.spec, quantity))
    finding = _first_value(case.spec, first, recorded[first], desired[first], _row(first, dtype, options))
    changes = _changes(case.spec, case.initial_weights)
    notes = [f"as if {change.name}" for change in changes if all(agree(_answers(case, change, dtype)))]
    return dataclasses.replace(finding, notes=tuple(notes))


def _row(quantity: Quantity, dtype: str, options: Options) -> Tolerance:
    return tolerance(dtype, options.device, quantity.kind, options.atol, options.rtol)


def _answers(case: Case, change: Change, dtype: str) -> Quantities:
    """Return the reference's forward quantities for a changed model."""
    weights = {name: rounded(array, dtype) for name, array in change.weights.items()}
    steps = tuple(rounded_step(step, dtype) for step in case.forward_steps())
    result = Executor(ReferenceEngine()).execute(Job(change.spec, weights, steps, "float64"))
    return quantities_of(Part.FORWARD, case, result)


def _position(spec: Graph, quantity: Quantity) -> int:
    """Return the number of the last call of the quantity's layer; outputs of the model come after all calls."""
    calls = [number for number, call in enumerate(spec.calls) if call.layer == quantity.where.split("/")[0]]
    return calls[-1] if calls else len(spec.calls)


def _first_value(
    spec: Graph, quantity: Quantity, recorded: list[Array], desired: list[Array], row: Tolerance
) -> Finding:
    """Return the earliest differing value of a quantity: of the first timestep, then of the first row."""
    labels = {str(layer.name): f"{layer.class_name} {layer.name!r}" for layer in spec.layers}
    finding = Finding("semantics", row.dtype, labels.get(quantity.where.split("/")[0], str(quantity)))
    for batch, (actual, expected) in enumerate(zip(recorded, desired, strict=True)):
        if actual.shape != expected.shape:
            note = f"shape is {actual.shape}, expected {expected.shape}"
            return dataclasses.replace(finding, batch=batch, notes=(note,))
        differs = ~(np.abs(actual - expected) <= row.allowed(expected))
        if differs.any():
            first = min((tuple(map(int, index)) for index in np.argwhere(differs)), key=lambda i: (i[1:-1], i))
            return dataclasses.replace(
                finding,
                batch=batch,
                row=first[0],
                timestep=first[1] if len(first) == 3 else None,
                unit=first[-1],
                gate=quantity.kind if quantity.kind in ("hidden", "cell") else None,
                actual=float(actual[first]),
                desired=float(expected[first]),
            )
    return finding


def _changes(spec: Graph, weights: Mapping[str, Array]) -> Iterator[Change]:
    """Yield the simple changes of a model and its weights."""
    identity = tuple(range(len(GATES)))
    for order in permutations(identity):
        if order != identity:
            names = " ".join(GATES[gate] for gate in order)
            yield Change(f"the gates were in the order {names}", spec, _in_order(spec, weights, order))
    for added in (-1.0, 1.0):
        name = f"{added:+g} were added to the bias of gate f"
        yield Change(name, spec, _with_bias(spec, weights, functools.partial(_forgetting, added=added)))
    yield Change("there were no bias in an LSTM", spec, _with_bias(spec, weights, np.zeros_like))
    for sigmoid in SIGMOIDS:
        yield Change(
            f"recurrent_activation were {sigmoid}",
            spec.with_layers(functools.partial(_with_sigmoid, sigmoid=sigmoid)),
            weights,
        )
    yield Change("no timestep were masked", spec.with_layers(_without_mask), weights)


def _lstm_weights(spec: Graph) -> Iterator[str]:
    """Yield the names of the weights of all LSTMs, whose last axis holds the gates."""
    for name in spec.weight_shapes:
        if name.rsplit("/", 1)[0] in spec.lstms:
            yield name


def _in_order(spec: Graph, weights: Mapping[str, Array], order: tuple[int, ...]) -> dict[str, Array]:
    """Return the weights as a program has them that takes the gates in another order."""
    changed = dict(weights)
    for name in _lstm_weights(spec):
        blocks = np.split(weights[name], len(GATES), axis=-1)
        changed[name] = np.concatenate([blocks[order.index(gate)] for gate in range(len(GATES))], axis=-1)
    return changed


def _with_bias(spec: Graph, weights: Mapping[str, Array], change: Callable[[Array], Array]) -> dict[str, Array]:
    names = [name for name in _lstm_weights(spec) if name.endswith("/bias")]
    return {**weights, **{name: change(weights[name]) for name in names}}


def _forgetting(bias: Array, added: float) -> Array:
    forget = np.repeat([float(gate == "f") for gate in GATES], len(bias) // len(GATES))
    changed: Array = bias + (added * forget).astype(bias.dtype)
    return changed


def _with_sigmoid(layer: Layer, sigmoid: str) -> Layer:
    return dataclasses.replace(layer, recurrent_activation=sigmoid) if isinstance(layer, LSTM) else layer


def _without_mask(layer: Layer) -> Layer:
    if isinstance(layer, Masking):
        return Activation("linear", name=layer.name)
    return dataclasses.replace(layer, mask_zero=False) if isinstance(layer, Embedding) else layer
