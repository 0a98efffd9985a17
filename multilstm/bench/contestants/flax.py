"""Flax's OptimizedLSTMCell under `nn.RNN`, jitted as a whole."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs, prefixed
from multilstm.bench.contestants.jax_base import jax_product, jitted_run
from multilstm.bench.contestants.stack import Stack, stack_of
from multilstm.bench.modes import FORWARD, GRADIENT, Mode
from multilstm.errors import UnsupportedError
from multilstm.frameworks import jax as jax_platform
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array

_GATES = "ifgo"


class _Layers(nn.Module):  # type: ignore[misc]
    sizes: tuple[tuple[int, bool, bool], ...]  # units, bidirectional, return_sequences

    @nn.compact  # type: ignore[untyped-decorator]
    def __call__(self, x: Any) -> Any:
        for number, (units, bidirectional, return_sequences) in enumerate(self.sizes):

            def rnn(direction: int, number: int = number, units: int = units) -> Any:
                return nn.RNN(nn.OptimizedLSTMCell(units, name=f"{number}-{direction}"))

            x = nn.Bidirectional(rnn(0), rnn(1))(x) if bidirectional else rnn(0)(x)
            if not return_sequences:
                x = x[:, -1]
        return x


@final
class FlaxContestant(AbstractContestant):
    """Flax has a matrix for each gate; the input's matrices have no bias."""

    platform = jax_platform

    def prepare(self, job: Job, mode: Mode) -> Run:
        stack = stack_of(job)
        sizes = tuple((layer.units, len(layer.directions) == 2, layer.return_sequences) for layer in stack.layers)
        module = _Layers(sizes)
        params = {
            f"{number}-{direction}": _cell(*weights)
            for number, layer in enumerate(stack.layers)
            for direction, weights in enumerate(layer.directions)
        }

        def forward(params: Any, x: Any) -> Any:
            return module.apply({"params": params}, x)

        def loss(params: Any, x: Any, target: Any) -> Any:
            return ((forward(params, x) - target) ** 2).mean()

        x = jnp.asarray(stack.x)
        if mode == FORWARD:
            return jitted_run(jax.jit(forward), (params, x), lambda y: named_outputs([[np.asarray(y)]]))
        if mode == GRADIENT:
            arguments = params, x, jnp.asarray(stack.target)
            return jitted_run(jax.jit(jax.grad(loss)), arguments, lambda gradients: _named(stack, gradients))
        raise UnsupportedError(f"it computes the modes forward and gradient alone, given {mode.name}")

    def product(self, left: Array, right: Array) -> Callable[[], Any]:
        return jax_product(left, right)

    def versions(self) -> dict[str, str]:
        return {"flax": importlib.metadata.version("flax"), **jax_platform.versions()}


def _named(stack: Stack, gradients: Any) -> dict[str, Array]:
    """Return gradients in Keras's layout, by `gradient:layer/weight`."""
    named = {}
    for number, layer in enumerate(stack.layers):
        for direction, prefix in enumerate(layer.prefixes):
            cell = gradients[f"{number}-{direction}"]
            for key, side, part in (
                ("kernel", "i", "kernel"),
                ("recurrent_kernel", "h", "kernel"),
                ("bias", "h", "bias"),
            ):
                named[prefix + key] = np.concatenate([cell[side + gate][part] for gate in _GATES], -1)
    return prefixed("gradient", named)


def _cell(kernel: Array, recurrent_kernel: Array, bias: Array) -> dict[str, Any]:
    gates: list[list[Array]] = [np.split(array, 4, -1) for array in (kernel, recurrent_kernel, bias)]
    inputs = {f"i{gate}": {"kernel": jnp.asarray(array)} for gate, array in zip(_GATES, gates[0], strict=True)}
    hidden = {
        f"h{gate}": {"kernel": jnp.asarray(array), "bias": jnp.asarray(offset)}
        for gate, array, offset in zip(_GATES, gates[1], gates[2], strict=True)
    }
    return {**inputs, **hidden}
