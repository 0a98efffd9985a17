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
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.response import MULTIPLE, UNIT, perturbed
from multilstm.files.compiled import OptimizerState
from multilstm.jobs.job import Answer, Job, Step
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import LOSSES
from multilstm.spec.schedules import Schedule
from multilstm.spec.training import Training, loss_class
from multilstm.suite.judge_part import failed

__all__ = ["compared_updates", "executed_loss", "milestones", "update_job"]

KINDS = ("weights", "slots")
SUBSTITUTE = "mean_squared_error"  # for a loss that multilstm does not execute


def milestones(count: int) -> tuple[int, ...]:
    """Return the numbers of updates after which arrays are compared: 1, 10, and all."""
    return tuple(sorted({number for number in (1, 10, count) if number <= count}))


def executed_loss(training: Training) -> str | None:
    """Return the loss of a training, by Keras's name of its function; None where multilstm does not execute it."""
    losses = [name for name in LOSSES if {loss_class(name)} == set(training.losses)]
    return losses[0] if losses else None


def update_job(case: Case, training: Training, state: OptimizerState, count: int) -> Job:
    """Return updates in float64 as a job of the reference, with the semantics of the training.

    The loss is that of the training, or `SUBSTITUTE` where multilstm does not execute that.
    """
    batches = list(case.forward.batches())
    kept = milestones(count)
    steps = [
        Step("update", batches[number % len(batches)], reset=True, keep=KINDS if number + 1 in kept else ())
        for number in range(count)
    ]
    return Job(
        case.spec, case.initial_weights, tuple(steps), "float64", optimizer=training.optimizer,
        loss=executed_loss(training) or SUBSTITUTE, slots=dict(state.slots) or None,
        iteration=state.iteration, faults=(PADDING_IS_COUNTED,) if training.counts_padding else (),
    )  # fmt: skip


def compared_updates(
    execution: Execution, training: Training, state: OptimizerState, count: int, faults: Collection[str] = ()
) -> Iterator[Comparison]:
    """Yield the comparison of each weight, and of each array of the optimizer, at each milestone.

    An engine that fails gives one comparison for each array of the last milestone, with the verdict of its error.

    Args:
        execution: the model with the batches of the updates, on the engine that executes the file.
        training: the training that the file means.
        state: the arrays of the optimizer at the beginning.
        count: the number of updates.
        faults: the faults that the file's gradients have, by their names in `multilstm.engines.reference.faults`.
    """
    rate = training.optimizer.learning_rate
    if not isinstance(rate, Schedule):  # a file holds it in float32
        optimizer = dataclasses.replace(training.optimizer, learning_rate=float(np.float32(rate)))
        training = dataclasses.replace(training, optimizer=optimizer)
    job = update_job(execution.case, training, state, count)
    job = dataclasses.replace(job, faults=(*job.faults, *faults))
    nearby = dataclasses.replace(job, weights=perturbed(job.spec, job.weights, UNIT["float64"], seed=0))
    in_file = dataclasses.replace(job, layers="plain", faults=())
    judge = dataclasses.replace(execution, engine=JUDGE)
    desired, moved = (judge.execute(one).answers for one in (job, nearby))
    try:
        actual = execution.execute(in_file).answers
    except (UnsupportedError, WorkerError) as error:
        yield from (failed(quantity, error) for quantity, _ in _arrays(count, desired[-1]))
        return
    for number in milestones(count):
        answers = (desired[number - 1], moved[number - 1])
        if number > 1 and _is_rounding(*answers):
            return
        yield from _judged(number, actual[number - 1] if number <= len(actual) else None, *answers)


def _judged(number: int, actual: Answer | None, desired: Answer, moved: Answer) -> Iterator[Comparison]:
    """Yield the comparisons at a milestone; an array that the engine did not return is missing."""
    others = {} if actual is None else dict(_arrays(number, actual))
    nearby = dict(_arrays(number, moved))
    for quantity, array in _arrays(number, desired):
        response = MULTIPLE * _distance(array, nearby[quantity])
        row = dataclasses.replace(tolerance("float64", "cpu", quantity.kind), response=response)
        yield compare_batches(quantity, [others[quantity]] if quantity in others else [], [array], row)


def _arrays(number: int, answer: Answer) -> Iterator[tuple[Quantity, Array]]:
    """Yield the weights and the arrays of the optimizer after a number of updates."""
    for kind in KINDS:
        for name, array in getattr(answer, kind).items():
            yield Quantity(kind, f"updates_{number}/{name}"), array


def _is_rounding(desired: Answer, moved: Answer) -> bool:
    """Whether rounding moves an array further than a comparison allows."""
    pairs = zip(dict(_arrays(0, desired)).values(), dict(_arrays(0, moved)).values(), strict=True)
    return any(MULTIPLE * _distance(*pair) > RESPONSE_SHARE * _distance(pair[0], 0.0) for pair in pairs)


def _distance(array: Array, other: Array | float) -> float:
    return float(np.abs(array - other).max(initial=0.0))
