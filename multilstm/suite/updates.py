"""Updates by the optimizer of a file, compared with those of the reference.

An optimizer such as RMSprop divides by gradients that may be rounding alone, and a training amplifies each difference.
So the reference also trains from weights that were moved by rounding. Its distance is allowed, and ends the comparison
where it is too large to prove anything.

Faults of plain Keras that gradients have shown are a part of the reference here. Adam amplifies the float32 slope of
PyTorch's hard_sigmoid to 1e-8 of a weight where a gradient is small. With the same fault, the reference agrees to the
bound of any other model, so an optimizer that differs is still seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

import numpy as np

from multilstm.cases.case import Case
from multilstm.compare import Comparison, Quantity, compare_batches, tolerance
from multilstm.compare.tolerances import RESPONSE_SHARE
from multilstm.engines.reference.faults import PADDING_IS_COUNTED
from multilstm.engines.registry import JUDGE
from multilstm.execution.response import MULTIPLE, UNIT, perturbed
from multilstm.files.compiled import OptimizerState
from multilstm.jobs.job import Answer, Job, Step
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import LOSSES
from multilstm.spec.schedules import Schedule
from multilstm.spec.training import Training, loss_class
from multilstm.workers import Pool

__all__ = ["compared_updates", "milestones", "update_job"]

KINDS = ("weights", "slots")


def milestones(count: int) -> tuple[int, ...]:
    """Return the numbers of updates after which arrays are compared: 1, 10, and all."""
    return tuple(sorted({number for number in (1, 10, count) if number <= count}))


def update_job(case: Case, training: Training, state: OptimizerState, count: int) -> Job:
    """Return updates in float64 as a job of the reference, with the semantics of the training.

    The loss is that of the training, or the mean squared error where multilstm does not execute that.
    """
    losses = {name for name in LOSSES if {loss_class(name)} == set(training.losses)}
    batches = list(case.forward.batches())
    kept = milestones(count)
    steps = [
        Step("update", batches[number % len(batches)], reset=True, keep=KINDS if number + 1 in kept else ())
        for number in range(count)
    ]
    return Job(
        case.spec, case.initial_weights, tuple(steps), "float64", optimizer=training.optimizer,
        loss=losses.pop() if losses else "mean_squared_error", slots=dict(state.slots) or None,
        iteration=state.iteration, faults=(PADDING_IS_COUNTED,) if training.counts_padding else (),
    )  # fmt: skip


def compared_updates(
    pool: Pool,
    engine: str,
    case: Case,
    training: Training,
    state: OptimizerState,
    count: int,
    faults: Collection[str] = (),
) -> Iterator[Comparison]:
    """Yield the comparison of each weight, and of each array of the optimizer, at each milestone.

    Args:
        pool: the workers.
        engine: the engine that executes the file.
        case: the model with the batches of the updates.
        training: the training that the file means.
        state: the arrays of the optimizer at the beginning.
        count: the number of updates.
        faults: the faults that the file's gradients have, by their names in `multilstm.engines.reference.faults`.
    """
    rate = training.optimizer.learning_rate
    if not isinstance(rate, Schedule):  # a file holds it in float32
        optimizer = dataclasses.replace(training.optimizer, learning_rate=float(np.float32(rate)))
        training = dataclasses.replace(training, optimizer=optimizer)
    job = update_job(case, training, state, count)
    job = dataclasses.replace(job, faults=(*job.faults, *faults))
    nearby = dataclasses.replace(job, weights=perturbed(case.spec, job.weights, UNIT["float64"], seed=0))
    in_file = dataclasses.replace(job, layers="plain", faults=())
    actual, desired, moved = (
        pool.execute(name, one).answers for name, one in ((engine, in_file), (JUDGE, job), (JUDGE, nearby))
    )
    for number in milestones(count):
        answers = (actual[number - 1], desired[number - 1], moved[number - 1])
        if number > 1 and _is_rounding(*answers[1:]):
            return
        yield from _judged(number, *answers)


def _judged(number: int, actual: Answer, desired: Answer, moved: Answer) -> Iterator[Comparison]:
    for kind in KINDS:
        row = tolerance("float64", "cpu", kind)
        for name, array in getattr(desired, kind).items():
            response = MULTIPLE * _distance(array, getattr(moved, kind)[name])
            allowed = dataclasses.replace(row, response=response)
            quantity = Quantity(kind, f"updates_{number}/{name}")
            yield compare_batches(quantity, [getattr(actual, kind)[name]], [array], allowed)


def _is_rounding(desired: Answer, moved: Answer) -> bool:
    """Whether rounding moves an array further than a comparison allows."""
    pairs = [(array, getattr(moved, kind)[name]) for kind in KINDS for name, array in getattr(desired, kind).items()]
    return any(MULTIPLE * _distance(*pair) > RESPONSE_SHARE * _distance(pair[0], 0.0) for pair in pairs)


def _distance(array: Array, other: Array | float) -> float:
    return float(np.abs(array - other).max(initial=0.0))
