"""The answers that rows of the ledger predict, computed by the reference with the row's fault.

A row with a prediction explains a divergence only if the engine gives exactly the predicted answer, inside the
tolerance. A row without one explains every finite difference of the right shape and dtype.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from multilstm.execution.execution import Execution
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.jobs.job import Answer, Step
from multilstm.spec.arrays import State

States = Mapping[str, State]
Prediction = Callable[[Execution, Part], Quantities]  # of the judge's execution


def states_are_lost(judge: Execution, part: Part) -> Quantities:
    """Predict an engine whose compiled calls hold the states of the moment at which they were traced.

    Every step starts from the states that were assigned when a step of its kind and shapes was first called, mostly
    zeros. The state variables change by a reset or an assignment alone; the engine returns them as the states after
    the step.
    """
    stateful = [name for name, lstm in judge.case.spec.lstms.items() if lstm.stateful]
    held = list(_held_states(part.steps(judge.case), stateful))
    result = judge.result(part, [_starting_from(step, stateful, traced) for step, traced, _ in held])
    answers = tuple(
        _with_states(answer, stateful, states) for answer, (_, _, states) in zip(result.answers, held, strict=True)
    )
    return quantities_of(part, judge.case, dataclasses.replace(result, answers=answers))


def _held_states(steps: Iterable[Step], stateful: list[str]) -> Iterator[tuple[Step, States, States]]:
    """Yield every step, the states with which it was traced, and the states of the variables; zeros are left out."""
    assigned: dict[str, State] = {}
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
    """Return the answer with the given states of the stateful LSTMs, and zeros for those without one."""
    held = {
        name: states.get(name, State(*(np.zeros_like(array) for array in answer.states[name])))
        for name in stateful
        if name in answer.states
    }
    return dataclasses.replace(answer, states={**answer.states, **held})


PREDICTIONS: dict[str, Prediction] = {"states_are_lost": states_are_lost}
