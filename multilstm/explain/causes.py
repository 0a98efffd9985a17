"""The cause of a divergence, from its size: rounding, precision or semantics."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.execution import Execution
from multilstm.execution.response import MULTIPLE, SEEDS, UNIT, perturbed
from multilstm.explain.layer import Tensor, Trace, trace
from multilstm.explain.side_by_side import Sides
from multilstm.jobs.job import Job

COARSER = {"float64": UNIT["float32"], "float32": UNIT["mixed_bfloat16"]}  # the dtype that a precision mode may use


def cause(execution: Execution) -> str:
    """Return the cause of a forward divergence in the execution's dtype; `""` if the forward pass agrees.

    Raises:
        WorkerError: if the engine raised, crashed, timed out, or returned an incomplete answer.
        UnsupportedError: if the engine does not execute the case.
    """
    sides = Sides(execution)
    traced = trace(sides)
    difference = traced.first_difference(sides)
    return "" if difference is None else cause_of(traced, difference, execution.dtype)


def cause_of(traced: Trace, difference: Tensor, dtype: str) -> str:
    """Return the cause of a difference in a dtype."""
    if is_within_rounding(traced, difference, UNIT[dtype]):
        return "rounding"
    coarser = dtype in COARSER and is_within_rounding(traced, difference, COARSER[dtype])
    return "precision" if coarser else "semantics"


def is_within_rounding(traced: Trace, difference: Tensor, unit: float) -> bool:
    """Whether the rounding of a dtype moves the reference about as far as the difference.

    Args:
        traced: the answers to the case, whose weights are moved.
        difference: the tensor that differs.
        unit: half a unit in the last place of the dtype, relative.
    """
    if difference.actual.shape != difference.desired.shape or not np.isfinite(difference.actual).all():
        return False
    distance = float(np.abs(difference.actual - difference.desired).max())
    moved = unit * float(np.abs(difference.desired).max())
    case = traced.case
    spec = dataclasses.replace(case.spec, outputs=traced.refs, sequential=False)
    steps = tuple(case.forward_steps())
    for seed in range(SEEDS):
        weights = perturbed(case.spec, case.initial_weights, unit, seed)
        answers = Executor(ReferenceEngine()).execute(Job(spec, weights, steps, "float64")).answers
        moved_trace = dataclasses.replace(traced, answers=traced.answers._replace(actual=answers))
        for tensor in moved_trace.tensors():
            if (tensor.batch, tensor.call) == (difference.batch, difference.call):
                moved = max(moved, float(np.abs(tensor.actual - tensor.desired).max()))
    return distance <= MULTIPLE * moved
