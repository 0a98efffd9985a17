"""Entry points of the explanation: classify a divergence and locate it, or locate an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from multilstm.cases.case import Case
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.response import UNIT
from multilstm.explain.causes import cause_of, is_within_rounding
from multilstm.explain.finding import Finding
from multilstm.explain.layer import Tensor, Trace, trace
from multilstm.explain.side_by_side import Sides
from multilstm.explain.timestep import IsolatedLSTM, lstm_state
from multilstm.explain.wrong_timestep import WrongTimestep
from multilstm.jobs.job import Batch, Step
from multilstm.spec import LSTM, Graph, InputLayer, Layer, Ref
from multilstm.spec.subgraph import pruned


def explain(execution: Execution) -> Finding:
    """Return the cause of a forward divergence, and the first place at which the engine diverges.

    An engine that fails during the explanation gives a finding with the cause `crash` or `unsupported`.

    Args:
        execution: the case on the engine, in the dtype in which it diverges.
    """
    try:
        return _explain(execution)
    except UnsupportedError as error:
        return Finding("unsupported", execution.dtype, notes=(str(error),))
    except WorkerError as error:
        return Finding("crash", execution.dtype, notes=(f"during the explanation: {error}",))


def explain_error(execution: Execution) -> Finding:
    """Return the first layer of a case that an engine cannot execute.

    Each layer is executed with the layers that it depends on. The first one that raises is the answer.
    """
    sides, case, dtype = Sides(execution), execution.case, execution.dtype
    for index, call in enumerate(case.spec.calls):
        layer = case.spec.layer(call.layer)
        outputs = tuple(Ref(index, number) for number in range(layer.output_count))
        subgraph = pruned(case.spec, case.spec.calls, outputs)
        if isinstance(layer, InputLayer) or subgraph is None:
            continue
        weights = {name: array for name, array in case.initial_weights.items() if name in subgraph.weight_shapes}
        try:
            sides.forward(subgraph, weights, _steps_of(subgraph, case))
        except UnsupportedError as error:
            return Finding("unsupported", dtype, _label(layer, call.layer), notes=(str(error),))
        except WorkerError:
            return Finding("crash", dtype, _label(layer, call.layer))
    return Finding("crash", dtype, notes=("every layer runs, with the layers below it, as the output of a model",))


def _steps_of(subgraph: Graph, case: Case) -> Iterator[Step]:
    """Yield the forward steps of a case, with the arrays that a part of its model needs."""
    for step in case.forward_steps():
        batch = Batch(
            {name: array for name, array in step.batch.inputs.items() if name in subgraph.inputs},
            (),
            {name: mask for name, mask in step.batch.masks.items() if name in subgraph.inputs},
            {name: state for name, state in step.batch.states.items() if name in subgraph.recurrent},
        )
        yield dataclasses.replace(step, batch=batch)


def _explain(execution: Execution) -> Finding:
    sides, dtype = Sides(execution), execution.dtype
    traced = trace(sides)
    difference = traced.first_difference(sides)
    if difference is None:
        return Finding("semantics", dtype, notes=("with the outputs of all layers as outputs, the model agrees",))
    if dtype != "float64":
        exact_sides = Sides(dataclasses.replace(execution, dtype="float64"))
        exact = trace(exact_sides)
        exact_difference = exact.first_difference(exact_sides)
        if exact_difference is None:  # the divergence depends on the dtype
            cause = "rounding" if is_within_rounding(traced, difference, UNIT[dtype]) else "precision"
            return _locate(sides, traced, difference, cause)
        sides, traced, difference = exact_sides, exact, exact_difference
    return _locate(sides, traced, difference, cause_of(traced, difference, sides.dtype))


def _locate(sides: Sides, traced: Trace, difference: Tensor, cause: str) -> Finding:
    """Return the first timestep, row and gate of the layer whose tensor differs first."""
    call = traced.spec.calls[difference.call]
    layer = traced.spec.layer(call.layer)
    label = _label(layer, call.layer)
    finding = Finding(cause, sides.dtype, label, difference.batch)
    if difference.actual.shape != difference.desired.shape:
        note = f"shape is {difference.actual.shape}, expected {difference.desired.shape}"
        return dataclasses.replace(finding, notes=(note,))
    lstms = {direction: part for direction, part in layer.recurrent.items() if isinstance(part, LSTM)}
    if not lstms:
        return _at_first_value(sides, finding, difference)
    for direction, lstm in _isolated(sides, traced, difference, lstms):
        prefix = lstm.shortest_prefix()
        if prefix is not None:
            where = f"{label} ({direction})" if direction else label
            return _at_timestep(WrongTimestep(lstm, prefix), dataclasses.replace(finding, layer=where))
    note = "alone, on the reference's input, the layer agrees: its input, mask or state differs"
    return dataclasses.replace(_at_first_value(sides, finding, difference), notes=(note,))


def _isolated(
    sides: Sides, traced: Trace, difference: Tensor, lstms: Mapping[str, LSTM]
) -> Iterator[tuple[str, IsolatedLSTM]]:
    """Yield the LSTMs of a layer by direction; the direction of a single LSTM is empty."""
    call = traced.spec.calls[difference.call]
    inputs, mask, starts = traced.inputs_of(difference.batch, difference.call)
    fixed = traced.spec.tensor_shapes[call.inputs[0]][1] is not None
    for (direction, lstm), start in zip(lstms.items(), starts, strict=True):
        prefix = f"{call.layer}/{direction}/" if direction else f"{call.layer}/"
        weights = {
            name.removeprefix(prefix): array
            for name, array in traced.case.initial_weights.items()
            if name.startswith(prefix)
        }
        known = None if start is None else lstm_state(start)
        yield direction, IsolatedLSTM(sides, lstm, weights, inputs, mask, known, fixed)


def _at_first_value(sides: Sides, finding: Finding, difference: Tensor) -> Finding:
    """Return the finding with the first differing value of an array `[batch, (timesteps,) features]`.

    The earliest timestep comes first, then the row. An axis in the middle is time.
    """
    differs = sides.differs(difference.actual, difference.desired)
    indices = [tuple(int(number) for number in index) for index in np.argwhere(differs)]
    first = min(indices, key=lambda index: (index[1:-1], index))
    return dataclasses.replace(
        finding,
        row=first[0],
        timestep=first[1] if len(first) == 3 else None,
        unit=first[-1],
        actual=float(difference.actual[first]),
        desired=float(difference.desired[first]),
    )


def _at_timestep(step: WrongTimestep, finding: Finding) -> Finding:
    """Return the finding with the place and the notes of a wrong timestep."""
    value = step.wrong_value()
    return dataclasses.replace(
        finding,
        timestep=step.lstm.timestep(step.prefix.processed),
        row=step.row,
        gate=value.gate,
        unit=value.unit,
        actual=value.actual,
        desired=value.desired,
        notes=step.notes(),
    )


def _label(layer: Layer, name: str) -> str:
    return f"{type(layer).__name__} {name!r}"
