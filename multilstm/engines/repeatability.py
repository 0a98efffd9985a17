"""Repeatability of an engine: a small gradient, computed twice, must have the same bits.

This finds kernels that add numbers in a varying order, as some kernels of GPUs do. The computation also shows the
kernel of the engine's LSTMs.
"""

from __future__ import annotations

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.frameworks.self_test import SelfTest
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.weights.initializers import discriminating_weights

NAME = "gradient twice, float32"
SPEC = Sequential([LSTM(32, return_sequences=True), LSTM(8), Dense(2)], input_shape=(50, 5))


def trial(executor: Executor, device: str) -> tuple[SelfTest, Implementation]:
    """Return the test, and the kernel that computed the LSTMs (an empty one where the test raised).

    Args:
        executor: of the engine.
        device: `cpu` or `gpu`.
    """
    random = np.random.default_rng(0)
    inputs, targets = (random.normal(size=(64, *shape)).astype(np.float32) for shape in ((50, 5), (2,)))
    step = Step("gradient", Batch({"input_layer": inputs}, (targets,)), keep=("gradients",))
    job = Job(SPEC, discriminating_weights(SPEC), (step,), device=device, loss="mean_squared_error")
    try:
        first, second = executor.execute(job), executor.execute(job)
    except Exception as error:  # a failure is a result of this test
        return SelfTest(NAME, False, f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]), Implementation()
    pairs = [(array, second.answers[0].gradients[name]) for name, array in first.answers[0].gradients.items()]
    differing = sum(left.tobytes() != right.tobytes() for left, right in pairs)
    detail = (
        f"{len(pairs)} gradients, the same bits" if not differing else f"{differing} of {len(pairs)} have other bits"
    )
    return SelfTest(NAME, bool(pairs) and not differing, detail), first.implementation
