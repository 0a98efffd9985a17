"""Repeatability of an engine: a small gradient, computed twice, must have the same bits.

An engine of inference alone computes its outputs twice.

This finds kernels that add numbers in a varying order, as some kernels of GPUs do. The computation also shows the
kernel of the engine's LSTMs.
"""

from __future__ import annotations

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.errors import UnsupportedError
from multilstm.frameworks.self_test import SelfTest
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Batch, Job, Result, Step
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.spec.arrays import Array
from multilstm.weights.initializers import discriminating_weights

SPEC = Sequential([LSTM(32, return_sequences=True), LSTM(8), Dense(2)], input_shape=(50, 5))


def trial(executor: Executor, device: str) -> tuple[SelfTest, Implementation]:
    """Return the test, and the kernel that computed the LSTMs (an empty one where the test raised).

    Args:
        executor: of the engine.
        device: `cpu` or `gpu`.
    """
    random = np.random.default_rng(0)
    inputs, targets = (random.normal(size=(64, *shape)).astype(np.float32) for shape in ((50, 5), (2,)))
    batch = Batch({"input_layer": inputs}, (targets,))
    try:
        return _twice(executor, device, Step("gradient", batch, keep=("gradients",)))
    except UnsupportedError:
        return _twice(executor, device, Step("forward", Batch(batch.inputs), keep=("outputs",)))


def _twice(executor: Executor, device: str, step: Step) -> tuple[SelfTest, Implementation]:
    """Return the test of one step, and the kernel."""
    name = f"{step.kind} twice, float32"
    job = Job(SPEC, discriminating_weights(SPEC), (step,), device=device, loss="mean_squared_error")
    try:
        first, second = executor.execute(job), executor.execute(job)
    except UnsupportedError:
        raise
    except Exception as error:  # a failure is a result of this test
        return SelfTest(name, False, f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]), Implementation()
    pairs = list(zip(_arrays(first), _arrays(second), strict=True))
    differing = sum(left.tobytes() != right.tobytes() for left, right in pairs)
    kind = "gradients" if step.kind == "gradient" else "outputs"
    detail = f"{len(pairs)} {kind}, the same bits" if not differing else f"{differing} of {len(pairs)} have other bits"
    return SelfTest(name, bool(pairs) and not differing, detail), first.implementation


def _arrays(result: Result) -> list[Array]:
    answer = result.answers[0]
    return [*answer.gradients.values(), *answer.outputs]
