"""The answers that rows of the ledger predict: the reference's, on steps changed as the row's fault changes them.

A row with a prediction explains a divergence only if the engine gives exactly the predicted answer, inside the
tolerance. A row without one explains every finite difference of the right shape and dtype.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from multilstm.jobs.job import Step

Prediction = Callable[[Step], Step]


def reset_every_step(step: Step) -> Step:
    """Return the step with all carried states set to zero before it."""
    return dataclasses.replace(step, reset=True)


PREDICTIONS: dict[str, Prediction] = {"reset_every_step": reset_every_step}
