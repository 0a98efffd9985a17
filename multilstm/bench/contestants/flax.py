"""Flax's OptimizedLSTMCell under `nn.RNN`, jitted as a whole."""

from __future__ import annotations

import importlib.metadata
from typing import Any, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run, weight_names
from multilstm.bench.contestants.jax_base import jitted_run
from multilstm.bench.shapes import Problem
from multilstm.frameworks import jax as jax_platform
from multilstm.spec.arrays import Array

_GATES = "ifgo"


class _Layers(nn.Module):  # type: ignore[misc]
    units: int
    layers: int
    bidirectional: bool

    @nn.compact  # type: ignore[untyped-decorator]
    def __call__(self, x: Any, lengths: Any) -> Any:
        for layer in range(self.layers):

            def rnn(direction: str, layer: int = layer) -> Any:
                return nn.RNN(nn.OptimizedLSTMCell(self.units, name=f"{layer}-{direction}"))

            if self.bidirectional:
                x = nn.Bidirectional(rnn("forward"), rnn("backward"))(x, seq_lengths=lengths)
            else:
                x = rnn("forward")(x, seq_lengths=lengths)
        return x


@final
class FlaxContestant(AbstractContestant):
    """Flax has a matrix for each gate; the input's matrices have no bias."""

    platform = jax_platform

    def prepare(self, problem: Problem) -> dict[str, Run]:
        shape = problem.shape
        module = _Layers(shape.units, shape.layers, shape.bidirectional)
        params = {
            prefix[:-1].replace("/", "-"): _cell(*problem.weights[layer][way])
            for layer, way, prefix in weight_names(shape)
        }
        x, cotangent = jnp.asarray(problem.x), jnp.asarray(problem.cotangent)
        lengths = None if problem.lengths is None else jnp.asarray(problem.lengths)

        def forward(params: Any, x: Any) -> Any:
            return module.apply({"params": params}, x, lengths)

        def loss(params: Any, x: Any, cotangent: Any) -> Any:
            return (forward(params, x) * cotangent).sum()

        compiled, gradient = jax.jit(forward), jax.jit(jax.grad(loss))

        def arrays(gradients: Any) -> dict[str, Array]:
            named = {}
            for _, _, prefix in weight_names(shape):
                cell = gradients[prefix[:-1].replace("/", "-")]
                for key, side, part in (
                    ("kernel", "i", "kernel"),
                    ("recurrent_kernel", "h", "kernel"),
                    ("bias", "h", "bias"),
                ):
                    named[prefix + key] = np.concatenate([cell[side + gate][part] for gate in _GATES], -1)
            return named

        return {
            FORWARD: jitted_run(compiled, (params, x), lambda y: {"sequence": np.asarray(y)}),
            GRADIENT: jitted_run(gradient, (params, x, cotangent), arrays),
        }

    def versions(self) -> dict[str, str]:
        return {"flax": importlib.metadata.version("flax"), **jax_platform.versions()}


def _cell(kernel: Array, recurrent_kernel: Array, bias: Array) -> dict[str, Any]:
    gates = [np.split(array, 4, -1) for array in (kernel, recurrent_kernel, bias)]
    inputs = {f"i{gate}": {"kernel": jnp.asarray(array)} for gate, array in zip(_GATES, gates[0], strict=True)}
    hidden = {
        f"h{gate}": {"kernel": jnp.asarray(array), "bias": jnp.asarray(offset)}
        for gate, array, offset in zip(_GATES, gates[1], gates[2], strict=True)
    }
    return {**inputs, **hidden}
