"""Keras's LSTM on JAX, stateless and jitted as a whole."""

from __future__ import annotations

from typing import Any, final

import jax
import jax.numpy as jnp
import keras
import numpy as np

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run
from multilstm.bench.contestants.jax_base import jitted_run
from multilstm.bench.contestants.keras_base import named, sequential
from multilstm.bench.shapes import Problem
from multilstm.frameworks import jax as jax_platform
from multilstm.scan import tune_cpu


@final
class KerasJaxContestant(AbstractContestant):
    """`stateless_call` under `jax.jit`.

    Args:
        options: `tuned` calls `tune_cpu` of `multilstm.scan` first.
    """

    platform = jax_platform

    def __init__(self, *options: str) -> None:
        self._tuned = tune_cpu() if "tuned" in options else {}

    def prepare(self, problem: Problem) -> dict[str, Run]:
        model = sequential(problem)
        weights = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]
        x, cotangent = jnp.asarray(problem.x), jnp.asarray(problem.cotangent)
        mask = None if problem.mask is None else jnp.asarray(problem.mask)

        def forward(weights: Any, x: Any) -> Any:
            return model.stateless_call(weights, others, x, mask=mask)[0]

        def loss(weights: Any, x: Any, cotangent: Any) -> Any:
            return (forward(weights, x) * cotangent).sum()

        compiled, gradient = jax.jit(forward), jax.jit(jax.grad(loss))
        return {
            FORWARD: jitted_run(compiled, (weights, x), lambda y: {"sequence": np.asarray(y)}),
            GRADIENT: jitted_run(
                gradient, (weights, x, cotangent), lambda arrays: named(problem, list(map(np.asarray, arrays)))
            ),
        }

    def versions(self) -> dict[str, str]:
        return {"keras": keras.__version__, **jax_platform.versions(), **self._tuned}
