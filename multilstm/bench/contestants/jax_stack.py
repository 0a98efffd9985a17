"""`multilstm.scan.stack` with checkpoints, which a model of `multilstm.scan.model` lacks: less memory, more time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import jax
import numpy as np

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs, prefixed
from multilstm.bench.contestants.jax_base import jax_product, jitted_run
from multilstm.bench.contestants.stack import Stack, stack_of
from multilstm.bench.modes import FORWARD, GRADIENT, Mode
from multilstm.errors import UnsupportedError
from multilstm.frameworks import jax as jax_platform
from multilstm.jobs.job import Job
from multilstm.scan import LSTMParams, stack
from multilstm.spec.arrays import Array


@final
class CheckpointContestant(AbstractContestant):
    """Rows of LSTMs that keep few states, and compute the others again for the gradient."""

    platform = jax_platform

    def prepare(self, job: Job, mode: Mode) -> Run:
        given = stack_of(job)
        params: Any = [
            tuple(LSTMParams(*weights) for weights in layer.directions)
            if len(layer.directions) == 2
            else LSTMParams(*layer.directions[0])
            for layer in given.layers
        ]
        params, x = jax.device_put((params, given.x))

        def forward(params: Any, x: Any) -> Any:
            outputs = stack(params, x, checkpoint=True)[0]
            return outputs if given.layers[-1].return_sequences else outputs[:, -1]

        def loss(params: Any, x: Any, target: Any) -> Any:
            return ((forward(params, x) - target) ** 2).mean()

        if mode == FORWARD:
            return jitted_run(jax.jit(forward), (params, x), lambda y: named_outputs([[np.asarray(y)]]))
        if mode == GRADIENT:
            arguments = params, x, jax.device_put(given.target)
            return jitted_run(jax.jit(jax.grad(loss)), arguments, lambda gradients: _named(given, gradients))
        raise UnsupportedError(f"it computes the modes forward and gradient alone, given {mode.name}")

    def product(self, left: Array, right: Array) -> Callable[[], Any]:
        return jax_product(left, right)

    def versions(self) -> dict[str, str]:
        return jax_platform.versions()


def _named(given: Stack, gradients: Any) -> dict[str, Array]:
    """Return gradients by `gradient:layer/weight`."""
    named = {}
    for layer, of_layer in zip(given.layers, gradients, strict=True):
        of_directions = of_layer if len(layer.directions) == 2 else (of_layer,)
        for prefix, weights in zip(layer.prefixes, of_directions, strict=True):
            named.update({prefix + key: np.asarray(array) for key, array in weights._asdict().items()})
    return prefixed("gradient", named)
