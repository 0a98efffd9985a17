"""The size of a change of meaning, measured on the model itself by the float64 reference."""

from __future__ import annotations

import numpy as np

from multilstm.cases.case import Case
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.files.compiled import OptimizerState
from multilstm.migration.drift import Drift
from multilstm.spec.arrays import Array
from multilstm.spec.training import Training
from multilstm.suite.drift import outputs_moved
from multilstm.suite.updates import update_job

__all__ = ["measured"]

UPDATES = 20


def measured(row: Drift, case: Case, training: Training | None) -> str:
    """Return the size of one change in a sentence; empty for a change that is not measured.

    Args:
        row: a row that touches the model.
        case: the model with its weights and random inputs.
        training: its training in the old meaning.
    """
    if row.name == "hard_sigmoid":
        moved = outputs_moved(case)
        return "" if moved is None else f"outputs would differ by up to {moved:.2g}"
    if row.undone is None or training is None or not case.spec.trainable_weights:
        return ""
    old, new = (_trained(case, each) for each in (training, row.undone(training)))
    initial = case.initial_weights
    went = max(float(np.abs(old[name] - initial[name]).max(initial=0.0)) for name in old)
    apart = max(float(np.abs(old[name] - new[name]).max(initial=0.0)) for name in old)
    share = "" if not went else f", {100 * apart / went:.2g} % of the way that they went"
    return f"after {UPDATES} updates, weights would differ by up to {apart:.2g}{share}"


def _trained(case: Case, training: Training) -> dict[str, Array]:
    """Return the trained weights after some updates."""
    job = update_job(case, training, OptimizerState(), UPDATES)
    weights = Executor(ReferenceEngine()).execute(job).weights
    return {name: weights[name] for name in case.spec.trainable_weights}
