"""Stacks of LSTMs in JAX without `multilstm.scan.model`: with checkpoints, and as ten plain lines of `lax.scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs, prefixed
from multilstm.bench.contestants.jax_base import jax_product, jitted_run
from multilstm.bench.contestants.stack import Stack, in_one_direction, stack_of
from multilstm.bench.modes import FORWARD, GRADIENT, Mode
from multilstm.errors import UnsupportedError
from multilstm.frameworks import jax as jax_platform
from multilstm.jobs.job import Job
from multilstm.scan import LSTMParams, State, stack, step
from multilstm.spec.arrays import Array


@final
class StackContestant(AbstractContestant):
    """Rows of LSTMs.

    Args:
        kind: `checkpoint`: `multilstm.scan.stack` that keeps few states, and computes the others again for the
            gradient. `plain`: the LSTM that most JAX users write, differentiated by JAX.
    """

    platform = jax_platform

    def __init__(self, kind: str) -> None:
        self._layers = {"checkpoint": _with_checkpoints, "plain": _plain}[kind]

    def prepare(self, job: Job, mode: Mode) -> Run:
        given = stack_of(job)
        params: Any = [tuple(LSTMParams(*weights) for weights in layer.directions) for layer in given.layers]
        params, x = jax.device_put((params, given.x))

        def forward(params: Any, x: Any) -> Any:
            outputs = self._layers(params, x)
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


def streaming(given: Stack) -> Run:
    """Return the run that calls `multilstm.scan.step` for each timestep and layer, and waits for each output."""
    layers = in_one_direction(given)
    params: Any = jax.device_put([LSTMParams(*layer.directions[0]) for layer in layers])
    zeros = [np.zeros((given.x.shape[0], layer.units), given.x.dtype) for layer in layers]
    xs: Any = jax.device_put([given.x[:, number] for number in range(given.x.shape[1])])
    start: Any = jax.device_put([State(array, array) for array in zeros])

    def call() -> list[Any]:
        states, outputs = list(start), []
        for x in xs:
            for number, weights in enumerate(params):
                x, states[number] = step(weights, x, states[number])
            outputs.append(jax.block_until_ready(x))
        return outputs

    return Run(call, lambda outputs: named_outputs([[np.stack(outputs, 1)]]), lambda: "multilstm.scan.step")


def _with_checkpoints(layers: Any, x: Any) -> Any:
    """Return the outputs `[batch, timesteps, units]` of `multilstm.scan.stack`."""
    return stack([layer if len(layer) == 2 else layer[0] for layer in layers], x, checkpoint=True)[0]


def _plain(layers: Any, x: Any) -> Any:
    """Return the outputs `[batch, timesteps, units]` of plain loops."""
    for forwards, *backwards in layers:
        outputs = [_scan(forwards, x), *(_scan(params, x[:, ::-1])[:, ::-1] for params in backwards)]
        x = jnp.concatenate(outputs, axis=-1)
    return x


def _scan(params: LSTMParams, x: Any) -> Any:
    """Return the outputs `[batch, timesteps, units]` of one LSTM, as its equations are usually written."""

    def step(states: Any, inputs: Any) -> Any:
        hidden, cell = states
        z = inputs @ params.kernel + hidden @ params.recurrent_kernel + params.bias
        i, f, c, o = jnp.split(z, 4, axis=-1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(c)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (hidden, cell), hidden

    zeros = jnp.zeros((x.shape[0], params.recurrent_kernel.shape[0]), x.dtype)
    return jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))[1].swapaxes(0, 1)


def _named(given: Stack, gradients: Any) -> dict[str, Array]:
    """Return gradients by `gradient:layer/weight`."""
    named = {}
    for layer, of_layer in zip(given.layers, gradients, strict=True):
        for prefix, weights in zip(layer.prefixes, of_layer, strict=True):
            named.update({prefix + key: np.asarray(array) for key, array in weights._asdict().items()})
    return prefixed("gradient", named)
