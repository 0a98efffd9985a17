"""LSTMs on top of one another in one loop: the wavefront of Appleyard, Kocisky and Blunsom 2016.

While a layer computes timestep t, the layer above it computes t - 1, from the lower layer's previous output
(https://arxiv.org/abs/1604.01946, section 3.3). So `timesteps + layers - 1` steps of the loop do the work of
`timesteps * layers`, each with one product for all layers. This suits devices on which a launch dominates a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.errors import InputError
from multilstm.scan.arguments import as_flag, as_jax
from multilstm.scan.cell import LSTMParams, Names, cell_forward
from multilstm.scan.loops.checks import as_state, check_arrays, check_dtype, check_names, check_params
from multilstm.scan.loops.projection import accumulator, add_bias, matmul
from multilstm.spec.arrays import State


def wavefront(
    layers: Sequence[LSTMParams],
    x: jax.Array,
    states: Sequence[State | None],
    mask: jax.Array | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    zero_output_for_mask: bool = False,
    dtype: str | None = None,
) -> tuple[jax.Array, tuple[State, ...]]:
    """Return the results of `stack` for LSTMs of the same units, in one loop; the gradient is JAX's own, in all modes.

    Args:
        layers: from the lowest to the highest.
        x: `[batch, timesteps, features]`.
        states: for each layer its initial state, or None: zeros.
        mask: boolean `[batch, timesteps]`, the same for every layer.
        activation: see `lstm`.
        recurrent_activation: see `lstm`.
        zero_output_for_mask: see `lstm`.
        dtype: see `lstm`.

    Returns:
        The outputs of the highest layer `[batch, timesteps, units]`, and the last state of each.

    Raises:
        InputError: as `lstm`; for pairs of directions; for layers of different units or dtypes.
    """
    names = check_names(activation, recurrent_activation)
    zero = as_flag("stack: zero_output_for_mask", zero_output_for_mask)
    dtype = None if dtype is None else check_dtype("stack", dtype)
    starts = tuple(None if state is None else as_state(state) for state in states)
    mask = None if mask is None else as_jax("stack: mask", mask)
    return _compiled(names, zero, dtype, tuple(map(_as_params, layers)), as_jax("stack: x", x), starts, mask)  # type: ignore[no-any-return]


def _as_params(params: Any) -> LSTMParams:
    if not isinstance(params, LSTMParams):
        raise InputError("stack: wavefront takes LSTMParams alone, and no pair of directions; leave it out")
    return check_params(params)


def _checked(
    names: Names, dtype: str | None, layers: Sequence[Any], x: Any, states: Sequence[Any], mask: Any
) -> tuple[list[LSTMParams], jax.Array, list[State], jax.Array | None]:
    """Return the arguments as arrays of each layer's dtype, with zeros for missing states."""
    checked: list[LSTMParams] = []
    starts: list[State] = []
    below = x
    for params, state in zip(layers, states, strict=True):
        params, below, state, mask = check_arrays(params, below, state, mask, dtype)
        units = params.recurrent_kernel.shape[0]
        if not checked:
            x = below
        elif units != checked[0].recurrent_kernel.shape[0]:
            raise InputError(
                f"stack: wavefront takes layers of the same units, given {checked[0].recurrent_kernel.shape[0]} and "
                f"{units}; leave it out"
            )
        elif params.kernel.dtype != checked[0].kernel.dtype:
            raise InputError(
                f"stack: wavefront takes layers of one dtype, given {checked[0].kernel.dtype} and "
                f"{params.kernel.dtype}; leave it out, or give a dtype"
            )
        zeros = jnp.zeros((below.shape[0], units), below.dtype)
        checked.append(params)
        starts.append(State(zeros, zeros) if state is None else state)
        below = jnp.zeros((*below.shape[:2], units), below.dtype)  # only its shape is used
    return checked, x, starts, mask


def _wavefront(
    names: Names,
    zero_output_for_mask: bool,
    dtype: str | None,
    layers: Sequence[Any],
    x: Any,
    states: Sequence[Any],
    mask: Any,
) -> tuple[jax.Array, tuple[State, ...]]:
    layers, x, states, mask = _checked(names, dtype, layers, x, states, mask)
    (batch, timesteps, _), count = x.shape, len(layers)
    counts = jnp.ones((batch, timesteps), bool) if mask is None else mask
    x = jnp.where(counts[..., None], x, 0)  # 0 * NaN is NaN: a masked NaN must not meet the weights
    lowest = add_bias(matmul(jnp.swapaxes(x, 0, 1), layers[0].kernel), layers[0].bias)
    # In float32 at least: JAX sums their gradients over all steps in the dtype that they have outside of the loop.
    kernels, biases = (a.astype(accumulator(a.dtype)) for a in _joined(layers))
    # Layer l is at timestep s - l in step s of the loop. Before the first and after the last it keeps its state.
    at = jnp.arange(timesteps + count - 1)[:, None] - jnp.arange(count)[None]
    active = counts.T[jnp.clip(at, 0, max(timesteps - 1, 0))] if timesteps else jnp.zeros((*at.shape, batch), bool)
    active &= ((at >= 0) & (at < timesteps))[..., None]

    def step(state: State, now: Any) -> tuple[State, jax.Array]:
        z_lowest, active = now
        arriving = jnp.roll(state.hidden, 1, 0).at[0].set(0)
        both = jnp.concatenate([state.hidden, arriving], -1)
        z = matmul(both, kernels.astype(both.dtype)) + biases.astype(both.dtype)
        after, _ = cell_forward(names, z.at[0].add(z_lowest), state.cell)
        after = State(*(jnp.where(active[..., None], new, old) for new, old in zip(after, state, strict=True)))
        return after, after.hidden[-1]

    start = State(*(jnp.stack(arrays) for arrays in zip(*states, strict=True)))
    padded = jnp.pad(lowest, ((0, count - 1), (0, 0), (0, 0)))
    last, highest = lax.scan(step, start, (padded, active))
    sequence = jnp.swapaxes(highest[count - 1 :], 0, 1)
    if mask is not None:
        shown = mask if zero_output_for_mask else jnp.cumsum(mask, 1) > 0
        sequence = jnp.where(shown[..., None], sequence, 0)
    return sequence, tuple(State(*arrays) for arrays in zip(*last, strict=True))


_compiled = jax.jit(_wavefront, static_argnums=(0, 1, 2))


def _joined(layers: Sequence[LSTMParams]) -> tuple[jax.Array, jax.Array]:
    """Return kernels `[layers, 2 * units, 4 * units]` for the hidden states of a layer and the one below, with biases.

    The lowest layer's inputs are multiplied before the loop, so that it has no layer below.
    """
    kernels, biases = [], []
    for number, (kernel, recurrent, bias) in enumerate(layers):
        kernels.append(jnp.concatenate([recurrent, kernel if number else jnp.zeros_like(recurrent)]))
        added = number and bias is not None
        biases.append(bias if added else jnp.zeros(recurrent.shape[1], recurrent.dtype))
    return jnp.stack(kernels), jnp.stack(biases)[:, None]
