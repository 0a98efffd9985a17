"""What kind of difference it is, and the whole explanation."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.engines.base import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.explain.finding import Finding
from multilstm.explain.gate import first_gate, gates_of
from multilstm.explain.hypotheses import STATES_EXCHANGED, suppose
from multilstm.explain.layer import Parting, Trace, trace
from multilstm.explain.side_by_side import Sides
from multilstm.explain.timestep import Lone
from multilstm.jobs.job import Batch, Job
from multilstm.spec import LSTM, Bidirectional, InputLayer, Ref
from multilstm.spec.subgraph import pruned

# Half a unit in the last place, relative; of mixed precision, what it computes in.
ULP = {"float32": 2.0**-24, "float64": 2.0**-53, "mixed_bfloat16": 2.0**-9, "mixed_float16": 2.0**-12}
COARSER = {"float64": ULP["float32"], "float32": ULP["mixed_bfloat16"]}  # what a precision mode may compute in
# A chain of operations rounds at each of them, weights are perturbed once: several times as far is rounding.
AS_FAR = 4.0


def explain(execution: Execution) -> Finding:
    """Why the forward pass of a case diverges on an engine, and where first.

    Args:
        execution: the case on the engine, in the dtype in which it diverges.
    """
    try:
        return _explain(execution)
    except UnsupportedError as error:
        return Finding("unsupported", execution.dtype, notes=(str(error),))
    except WorkerError as error:
        return Finding("crash", execution.dtype, notes=(f"while it was traced: {error}",))


def explain_error(execution: Execution) -> Finding:
    """Which layer of a case an engine cannot execute: the first that raises, with what stands below it."""
    sides, case, dtype = Sides(execution), execution.case, execution.dtype
    for index, call in enumerate(case.spec.calls):
        layer = case.spec.layer(call.layer)
        part = pruned(case.spec, case.spec.calls, tuple(Ref(index, number) for number in range(layer.output_count)))
        if isinstance(layer, InputLayer) or part is None:
            continue
        steps = [
            dataclasses.replace(
                step,
                batch=Batch(
                    {name: array for name, array in step.batch.inputs.items() if name in part.inputs},
                    (),
                    {name: mask for name, mask in step.batch.masks.items() if name in part.inputs},
                    {name: state for name, state in step.batch.states.items() if name in part.lstms},
                ),
            )
            for step in case.forward_steps()
        ]
        weights = {name: array for name, array in case.initial_weights.items() if name in part.weight_shapes}
        try:
            sides.forward(part, weights, steps)
        except UnsupportedError as error:
            return Finding("unsupported", dtype, f"{type(layer).__name__} {call.layer!r}", notes=(str(error),))
        except WorkerError:
            return Finding("crash", dtype, f"{type(layer).__name__} {call.layer!r}")
    return Finding("crash", dtype, notes=("every layer runs, with what stands below it, as the output of a model",))


def cause(execution: Execution) -> str:
    """The cause alone, as in `Finding`, in that dtype alone; `""` where the forward pass agrees."""
    sides = Sides(execution)
    found = trace(sides)
    parting = found.parting(sides)
    return "" if parting is None else _cause(found, parting, execution.dtype)


def _explain(execution: Execution) -> Finding:
    sides, dtype = Sides(execution), execution.dtype
    found = trace(sides)
    parting = found.parting(sides)
    if parting is None:
        return Finding("semantics", dtype, notes=("with the outputs of all layers as outputs, the model agrees",))
    cause = None
    if dtype != "float64":
        exact = Sides(dataclasses.replace(execution, dtype="float64"))
        traced = trace(exact)
        apart = traced.parting(exact)
        if apart is None:  # the divergence goes with the dtype
            cause = "rounding" if _within_rounding(found, parting, ULP[dtype]) else "precision"
        else:
            sides, found, parting = exact, traced, apart
    return _locate(sides, found, parting, cause or _cause(found, parting, sides.dtype))


def _cause(found: Trace, parting: Parting, dtype: str) -> str:
    if _within_rounding(found, parting, ULP[dtype]):
        return "rounding"
    coarser = dtype in COARSER and _within_rounding(found, parting, COARSER[dtype])
    return "precision" if coarser else "semantics"


def _within_rounding(found: Trace, parting: Parting, unit: float) -> bool:
    """Whether perturbing every weight by so much, relatively, moves the reference about as far.

    The inputs stay as they are: a Masking compares them.
    """
    if parting.actual.shape != parting.desired.shape or not np.isfinite(parting.actual).all():
        return False
    distance = float(np.abs(parting.actual - parting.desired).max())
    moved = unit * float(np.abs(parting.desired).max())
    case = found.case
    spec = dataclasses.replace(case.spec, outputs=found.refs, sequential=False)
    steps = tuple(case.forward_steps())
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = {
            name: array * (1 + unit * rng.choice([-1.0, 1.0], array.shape))
            for name, array in case.initial_weights.items()
        }
        answers = Executor(ReferenceEngine()).execute(Job(spec, weights, steps, "float64")).answers
        other = dataclasses.replace(found, answers=found.answers._replace(actual=answers))
        for batch, call, first, second in other.arrays():
            if (batch, call) == (parting.batch, parting.call):
                moved = max(moved, float(np.abs(first - second).max()))
    return distance <= AS_FAR * moved


def _locate(sides: Sides, found: Trace, parting: Parting, cause: str) -> Finding:
    """The first timestep, row and gate of the layer at which a trace parts."""
    spec = found.spec
    called = spec.calls[parting.call]
    layer = spec.layer(called.layer)
    label = f"{type(layer).__name__} {called.layer!r}"
    place = Finding(cause, sides.dtype, label, parting.batch)
    if parting.actual.shape != parting.desired.shape:
        return dataclasses.replace(place, notes=(f"shape is {parting.actual.shape}, expected {parting.desired.shape}",))
    if not isinstance(layer, (LSTM, Bidirectional)):
        return _by_place(sides, place, parting)
    inputs, mask, starts = found.reaches(parting.batch, parting.call)
    lstms = {"": layer} if isinstance(layer, LSTM) else layer.directions
    weights = found.case.initial_weights
    fixed = spec.tensor_shapes[called.inputs[0]][1] is not None
    for (direction, lstm), start in zip(lstms.items(), starts, strict=True):
        prefix = f"{called.layer}/{direction}/" if direction else f"{called.layer}/"
        own = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        lone = Lone(sides, lstm, own, inputs, mask, start, fixed)
        shortest = lone.shortest()
        if shortest is not None:
            where = f"{label} ({direction})" if direction else label
            return _in_lstm(lone, dataclasses.replace(place, layer=where), *shortest)
    alone = "alone, on what the reference gives it, the layer agrees: what reaches it is what differs"
    return dataclasses.replace(_by_place(sides, place, parting), notes=(alone,))


def _by_place(sides: Sides, place: Finding, parting: Parting) -> Finding:
    """The first value that parts, by its place in the array: `[batch, (timesteps,) features]`."""
    apart = sides.outside(parting.actual, parting.desired)
    # The earliest timestep first, then the row: an axis in the middle is time.
    places = sorted((tuple(int(i) for i in at) for at in np.argwhere(apart)), key=lambda at: (at[1:-1], at))
    at = places[0]
    return dataclasses.replace(
        place,
        row=at[0],
        timestep=at[1] if len(at) == 3 else None,
        unit=at[-1],
        actual=float(parting.actual[at]),
        desired=float(parting.desired[at]),
    )


def _in_lstm(lone: Lone, place: Finding, processed: int, length: int) -> Finding:
    """The first row and gate of timestep number `processed` (from 1) in a sequence of that length."""
    record, later = lone.record, length > processed
    answer = lone.run(length)
    output = answer.outputs[0][:, processed - 1] if lone.layer.return_sequences else answer.outputs[0]
    after = {"output": (output, record.outputs[processed])}
    if not later:
        state = answer.states["lstm"]
        states = {"cell": (state.cell, record.cell[processed]), "hidden": (state.hidden, record.hidden[processed])}
        after = {**states, **after}
    row = min(int(rows.argmax()) for pair in after.values() if (rows := lone.sides.outside(*pair).any(axis=1)).any())
    masked = record.keep is not None and not record.keep[processed - 1, row, 0]
    supposed = suppose(lone)
    gates = {} if masked or later or STATES_EXCHANGED in supposed else gates_of(lone, processed)
    notes = ["the mask leaves this timestep out"] if masked else []
    if later:
        notes.append("cut behind this timestep, the sequence agrees: what comes later acts on it")
    found = first_gate(lone.sides, gates, row)
    if gates and found is None:
        notes.append("every gate is right where the timestep is given the right state and input")
    if supposed:
        notes.append(f"as if {', or '.join(supposed)}")
    gate, unit = found or next(
        (name, int(wrong.argmax()))
        for name, pair in after.items()
        if (wrong := lone.sides.outside(*(array[row] for array in pair))).any()
    )
    actual, desired = (float(array[row, unit]) for array in (gates[gate] if found else after[gate]))
    return dataclasses.replace(
        place,
        timestep=lone.timestep(processed),
        row=row,
        gate=gate,
        unit=unit,
        actual=actual,
        desired=desired,
        notes=tuple(notes),
    )
