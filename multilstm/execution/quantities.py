"""The quantities of a result, each with one array for every batch that has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from multilstm.cases.case import Case
from multilstm.compare.quantity import Quantity
from multilstm.execution.part import Part
from multilstm.jobs.job import Answer, Result
from multilstm.spec.arrays import AnyState, Array

Quantities = dict[Quantity, list[Array]]


def quantities_of(part: Part, case: Case, result: Result) -> Quantities:
    """Return the quantities of one part of a case, each with one array for every batch that has it."""
    quantities: Quantities = {}
    for quantity, array in _pairs(part, case, result):
        quantities.setdefault(quantity, []).append(np.asarray(array))
    return quantities


def _pairs(part: Part, case: Case, result: Result) -> Iterator[tuple[Quantity, object]]:
    if part is Part.FORWARD:
        yield from _counts(result)
    stateful = any(layer.stateful for layer in case.spec.recurrent.values())
    last = len(result.answers)
    for number, answer in enumerate(result.answers, 1):
        yield from _outputs(answer, several=len(case.spec.outputs) > 1)
        if part.trains:
            yield from _states("trained_", answer.states, f"/{part}")
        else:
            after_reset = part is Part.FORWARD and stateful and number == last
            yield from _states("", answer.states, "/after_reset" if after_reset else "")
        yield from _gradients(answer)
        yield from _trained(f"{part}_{number}", answer.weights, answer.slots)
    if part.trains:
        yield from _curves(part, result)
    if part is Part.PROGRAM:
        yield from _trained(str(part), result.weights, result.slots)


def _counts(result: Result) -> Iterator[tuple[Quantity, object]]:
    yield Quantity("parameter_count"), sum(result.parameter_counts.values())
    for layer, count in result.parameter_counts.items():
        yield Quantity("parameter_count", layer), count
    for name, array in result.weights.items():
        yield Quantity("parameter_count", name), array.size
        yield Quantity("weight_shape", name), array.shape


def _outputs(answer: Answer, several: bool) -> Iterator[tuple[Quantity, object]]:
    for index, array in enumerate(answer.outputs):
        yield Quantity("output", str(index) if several else ""), array
    for name, array in answer.sequences.items():
        yield Quantity("sequence", name), array
    for name, array in answer.last_outputs.items():
        yield Quantity("last_output", name), array


def _states(prefix: str, states: Mapping[str, AnyState], suffix: str) -> Iterator[tuple[Quantity, object]]:
    for name, state in states.items():
        for field, array in state._asdict().items():
            yield Quantity(f"{prefix}{field}", f"{name}{suffix}"), array


def _gradients(answer: Answer) -> Iterator[tuple[Quantity, object]]:
    for name, array in answer.gradients.items():
        yield Quantity("gradient", name), array
    for name, array in answer.input_gradients.items():
        yield Quantity("input_gradient", name), array
    for name, state in answer.state_gradients.items():
        for field, array in state._asdict().items():
            yield Quantity("state_gradient", f"{name}/{field}"), array


def _trained(stage: str, weights: Mapping[str, Array], slots: Mapping[str, Array]) -> Iterator[tuple[Quantity, object]]:
    for name, array in weights.items():
        yield Quantity("weights", f"{stage}/{name}"), array
    for name, array in slots.items():
        yield Quantity("slots", f"{stage}/{name}"), array


def _curves(part: Part, result: Result) -> Iterator[tuple[Quantity, object]]:
    dtype = next((array.dtype for array in result.weights.values()), np.dtype("float64"))
    yield Quantity("loss", str(part)), np.array([answer.loss for answer in result.answers], dtype)
    accuracies = [answer.accuracy for answer in result.answers if answer.accuracy is not None]
    if accuracies and part is Part.PROGRAM:
        yield Quantity("accuracy", str(part)), np.array(accuracies, dtype)
