"""The answers that rows of the ledger predict, computed by the reference with the faults of the rows.

A row of the effect `differs` explains a divergence only if the engine gives exactly a predicted answer, or an answer
within the row's bound. Several faults may act on one case, so predictions are also computed together.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from multilstm.engines.reference.faults import FAULTS
from multilstm.execution.execution import Execution
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.execution.rounding import rounded
from multilstm.jobs.job import Answer, Result, Step
from multilstm.ledger.places import places
from multilstm.spec.arrays import AnyState, as_state

STATES_ARE_LOST = "states_are_lost"
DECAY_IS_SKIPPED = "decay_is_skipped"
PREDICTIONS = {
    STATES_ARE_LOST: "every compiled call starts from the states of the moment at which it was traced",
    DECAY_IS_SKIPPED: "weights on which no output depends stay as they were",
    **FAULTS,
}
States = Mapping[str, AnyState]


def combinations(predictions: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the predictions that are tried together: none, each alone, each pair, and all."""
    sizes = dict.fromkeys((*range(min(2, len(predictions)) + 1), len(predictions)))
    for size in sizes:
        yield from itertools.combinations(predictions, size)


def predict(judge: Execution, part: Part, predictions: Collection[str]) -> Quantities:
    """Return the quantities of an engine with some faults.

    Args:
        judge: the case on the reference.
        part: the part of the case.
        predictions: names of `PREDICTIONS`.
    """
    judge = dataclasses.replace(judge, faults=tuple(name for name in FAULTS if name in predictions))
    result = _without_states(judge, part) if STATES_ARE_LOST in predictions else judge.result(part)
    quantities = quantities_of(part, judge.case, result)
    return _without_decay(judge, quantities) if DECAY_IS_SKIPPED in predictions else quantities


def _without_decay(judge: Execution, quantities: Quantities) -> Quantities:
    """Return the quantities of an optimizer that skips the weights on which no output depends."""
    case, dtype = judge.case, judge.dtype
    unreached = [place.name for place in places(case, dtype) if not place.reaches_output]
    initial = {
        name: rounded(array, dtype).astype(np.float64)
        for name, array in case.initial_weights.items()
        if any(name.startswith(f"{place}/") for place in unreached)
    }
    return {
        quantity: [initial[quantity.where.partition("/")[2]]] * len(arrays)
        if quantity.kind == "weights" and quantity.where.partition("/")[2] in initial
        else arrays
        for quantity, arrays in quantities.items()
    }


def _without_states(judge: Execution, part: Part) -> Result:
    """Return the result of an engine whose compiled calls hold the states of the moment at which they were traced.

    Every step starts from the states that were assigned when a step of its kind and shapes was first called, mostly
    zeros. The state variables change by a reset or an assignment alone; the engine returns them as the states after
    the step.
    """
    stateful = [name for name, layer in judge.case.spec.recurrent.items() if layer.stateful]
    held = list(_held_states(part.steps(judge.case), stateful))
    result = judge.result(part, [_starting_from(step, stateful, traced) for step, traced, _ in held])
    answers = tuple(
        _with_states(answer, stateful, states) for answer, (_, _, states) in zip(result.answers, held, strict=True)
    )
    return dataclasses.replace(result, answers=answers)


def _held_states(steps: Iterable[Step], stateful: list[str]) -> Iterator[tuple[Step, States, States]]:
    """Yield every step, the states with which it was traced, and the states of the variables; zeros are left out."""
    assigned: dict[str, AnyState] = {}
    traced: dict[tuple[object, ...], States] = {}
    for step in steps:
        given = {name: state for name, state in step.batch.states.items() if name in stateful}
        assigned = {**({} if step.reset else assigned), **given}
        kind = "gradient" if step.kind == "update" else step.kind
        shapes = tuple(array.shape for array in step.batch.inputs.values())
        yield step, traced.setdefault((kind, shapes), assigned), assigned


def _starting_from(step: Step, stateful: list[str], states: States) -> Step:
    others = {name: state for name, state in step.batch.states.items() if name not in stateful}
    batch = dataclasses.replace(step.batch, states={**others, **states})
    return dataclasses.replace(step, reset=True, batch=batch)


def _with_states(answer: Answer, stateful: list[str], states: States) -> Answer:
    """Return the answer with the given states of the stateful layers, and zeros for those without one."""
    held = {
        name: states.get(name, as_state(*map(np.zeros_like, answer.states[name])))
        for name in stateful
        if name in answer.states
    }
    return dataclasses.replace(answer, states={**answer.states, **held})
