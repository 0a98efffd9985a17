"""The cause of a divergence, from its size: rounding, precision or semantics."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.execution import Execution
from multilstm.explain.layer import Tensor, Trace, trace
from multilstm.explain.side_by_side import Sides
from multilstm.jobs.job import Job

# Half a unit in the last place, relative; for mixed precision, of the dtype that computes.
ULP = {"float32": 2.0**-24, "float64": 2.0**-53, "mixed_bfloat16": 2.0**-9, "mixed_float16": 2.0**-12}
COARSER = {"float64": ULP["float32"], "float32": ULP["mixed_bfloat16"]}  # the dtype that a precision mode may use
# Weights are perturbed once, but each operation of a chain rounds. A few times the perturbation is still rounding.
LARGEST_MULTIPLE = 4.0


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
    if is_within_rounding(traced, difference, ULP[dtype]):
        return "rounding"
    coarser = dtype in COARSER and is_within_rounding(traced, difference, COARSER[dtype])
    return "precision" if coarser else "semantics"


def is_within_rounding(traced: Trace, difference: Tensor, unit: float) -> bool:
    """Whether a relative change of every weight by `unit` moves the reference about as far as the difference.

    Inputs are not changed, because a Masking layer compares them with a value.
    """
    if difference.actual.shape != difference.desired.shape or not np.isfinite(difference.actual).all():
        return False
    distance = float(np.abs(difference.actual - difference.desired).max())
    moved = unit * float(np.abs(difference.desired).max())
    case = traced.case
    spec = dataclasses.replace(case.spec, outputs=traced.refs, sequential=False)
    steps = tuple(case.forward_steps())
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = {
            name: array * (1 + unit * rng.choice([-1.0, 1.0], array.shape))
            for name, array in case.initial_weights.items()
        }
        answers = Executor(ReferenceEngine()).execute(Job(spec, weights, steps, "float64")).answers
        perturbed = dataclasses.replace(traced, answers=traced.answers._replace(actual=answers))
        for tensor in perturbed.tensors():
            if (tensor.batch, tensor.call) == (difference.batch, difference.call):
                moved = max(moved, float(np.abs(tensor.actual - tensor.desired).max()))
    return distance <= LARGEST_MULTIPLE * moved
