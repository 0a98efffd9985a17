"""`multilstm.scan`, jitted."""

from __future__ import annotations

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run, weight_names
from multilstm.bench.shapes import Array, Problem
from multilstm.engines import jax_platform
from multilstm.scan import LSTMParams, stack


@final
class ScanContestant(AbstractContestant):
    """Layers on top of one another, each forward or in both directions."""

    def prepare(self, problem: Problem) -> dict[str, Run]:
        params: Any = [
            tuple(LSTMParams(*map(jnp.asarray, each)) for each in layer)
            if problem.shape.bidirectional
            else LSTMParams(*map(jnp.asarray, layer[0]))
            for layer in problem.weights
        ]
        x, cotangent = jnp.asarray(problem.x), jnp.asarray(problem.cotangent)

        mask = None if problem.mask is None else jnp.asarray(problem.mask)

        def forward(params: Any, x: Any) -> Any:
            return stack(params, x, mask=mask)[0]

        def loss(params: Any, x: Any, cotangent: Any) -> Any:
            return (forward(params, x) * cotangent).sum()

        compiled, gradient = jax.jit(forward), jax.jit(jax.grad(loss))

        def arrays(value: Any) -> dict[str, Array]:
            found = {}
            for layer, direction, prefix in weight_names(problem.shape):
                one = value[layer][direction] if problem.shape.bidirectional else value[layer]
                found.update({prefix + key: np.asarray(array) for key, array in one._asdict().items()})
            return found

        return {
            FORWARD: Run(lambda: jax.block_until_ready(compiled(params, x)), lambda y: {"sequence": np.asarray(y)}),
            GRADIENT: Run(lambda: jax.block_until_ready(gradient(params, x, cotangent)), arrays),
        }

    def versions(self) -> dict[str, str]:
        return jax_platform.versions()
