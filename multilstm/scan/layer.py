"""An LSTM over time: `lax.scan` forward, and backwards one reversed scan that carries two arrays.

Pure functions over pytrees: they work under `jax.jit`, `jax.grad` and `jax.vmap`, and keep the dtype that they are
given. What masks do is Keras's behaviour, and what is masked reaches neither outputs nor states nor gradients, NaN
and infinity included.

The gradient by hand (Graves 2012, section 4.6; the step is in `cell.py`): the reversed scan carries `dhidden` and
`dcell` only and writes `dz` of every step. With X, H, Z the inputs, the hidden states before each step, and dz, of
all steps and sequences under one another, each weight's gradient is then one product instead of a sum in the loop:

    dkernel = X.T @ dZ;   drecurrent_kernel = H.T @ dZ;   dbias = sum(dZ);   dX = dZ @ kernel.T

A masked step keeps the state, so that there `dz = 0`, and `dhidden`, `dcell` pass unchanged. The output of a masked
step repeats the output before it. As the state is kept too, that output is the kept hidden state, except before the
first step that counts, where it is 0: so it is a choice made after the scan, and needs no third carry.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.cell import LSTMParams, Names, cell_backward, cell_forward, matmul
from multilstm.scan.checks import check_arrays
from multilstm.state import State


def lstm(
    params: LSTMParams,
    x: jax.Array,
    state: State | None = None,
    mask: jax.Array | None = None,
    go_backwards: bool = False,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    zero_output_for_mask: bool = False,
    custom_gradient: bool = True,
) -> tuple[jax.Array, State]:
    """Runs an LSTM over a batch of sequences. It is compiled on its own; no `jax.jit` is needed around it.

    Args:
        params: the weights, in Keras's layout.
        x: `[batch, timesteps, features]`; batch and timesteps may be 0.
        state: the initial state, each `[batch, units]`; None: zeros.
        mask: boolean `[batch, timesteps]`, True where a timestep counts; None: all count.
        go_backwards: from the last timestep to the first; the sequence is returned in that order.
        activation: of the candidate and of the cell state, one of `ACTIVATIONS`.
        recurrent_activation: of the three gates.
        zero_output_for_mask: a masked step's output is 0; else it repeats the output before it (0, if there is none).
        custom_gradient: the gradient derived by hand, which saves time and memory. It allows reverse mode only
            (`jax.grad`, `jax.vjp`, and those of themselves); False also allows `jax.jvp` and `jax.hessian`.

    Returns:
        The outputs `[batch, timesteps, units]` and the state after the last step, each `[batch, units]`.

    Raises:
        InputError: for an array whose shape or dtype does not fit; nothing is broadcast silently.
    """
    names = Names(activation, recurrent_activation)
    params, x, state, mask = check_arrays(params, x, state, mask, names)
    return _compiled(names, go_backwards, zero_output_for_mask, custom_gradient, params, x, state, mask)  # type: ignore[no-any-return]


def last_output(
    sequence: jax.Array, state: State, mask: jax.Array | None, go_backwards: bool, zero_output_for_mask: bool
) -> jax.Array:
    """The output of the last processed timestep `[batch, units]`: `sequence[:, -1]`, or 0 without timesteps.

    It is read from the state, so that nobody needs the sequence itself and the compiler leaves it out: the hidden
    state, but 0 where no step counted, or, with `zero_output_for_mask`, where the last one did not.
    """
    if sequence.shape[1] == 0:
        return jnp.zeros_like(state.hidden)
    if mask is None:
        return state.hidden
    last = mask[:, 0 if go_backwards else -1] if zero_output_for_mask else mask.any(1)
    return jnp.where(last[:, None], state.hidden, 0)


def _lstm(
    names: Names,
    go_backwards: bool,
    zero_output_for_mask: bool,
    custom_gradient: bool,
    params: LSTMParams,
    x: jax.Array,
    state: State | None,
    mask: jax.Array | None,
) -> tuple[jax.Array, State]:
    if state is None:
        zeros = jnp.zeros((x.shape[0], params.recurrent_kernel.shape[0]), x.dtype)
        state = State(zeros, zeros)
    if go_backwards:
        x = jnp.flip(x, 1)
        mask = None if mask is None else jnp.flip(mask, 1)
    if mask is not None:
        # Before the projection: 0 * NaN is NaN, so that a masked NaN must not meet the weights at all.
        x = jnp.where(mask[..., None], x, 0)
    run = _scan_custom if custom_gradient else _scan
    hidden, last = run(names, params, _time_first(x), state, None if mask is None else mask.T)
    sequence = _time_first(hidden)
    if mask is not None:
        shown = mask if zero_output_for_mask else jnp.cumsum(mask, 1) > 0
        sequence = jnp.where(shown[..., None], sequence, 0)
    return sequence, last


_compiled = jax.jit(_lstm, static_argnums=(0, 1, 2, 3))


def _time_first(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(x, 0, 1)


def _scan(
    names: Names, params: LSTMParams, x: jax.Array, state: State, mask: jax.Array | None
) -> tuple[jax.Array, State]:
    """Time first: `x [timesteps, batch, features]`, `mask [timesteps, batch]`; hidden states and the last state."""

    def step(before: State, now: tuple[jax.Array, jax.Array | None]) -> tuple[State, jax.Array]:
        after = _keep_masked(now[1], cell_forward(names, params, now[0], before)[0], before)
        return after, after.hidden

    last, hidden = lax.scan(step, state, (x, mask))
    return hidden, last


def _scan_forward(
    names: Names, params: LSTMParams, x: jax.Array, state: State, mask: jax.Array | None
) -> tuple[tuple[jax.Array, State], Any]:
    def step(before: State, now: tuple[jax.Array, jax.Array | None]) -> tuple[State, Any]:
        after, gates = cell_forward(names, params, now[0], before)
        after = _keep_masked(now[1], after, before)
        return after, (after.hidden, after.cell, gates)

    last, (hidden, cell, gates) = lax.scan(step, state, (x, mask))
    return (hidden, last), (params, x, state, mask, hidden, cell, gates)


def _scan_backward(names: Names, residuals: Any, cotangents: tuple[jax.Array, State]) -> Any:
    params, x, state, mask, hidden, cell, gates = residuals
    dsequence, dlast = cotangents
    recurrent_transposed = params.recurrent_kernel.T

    def step(after: State, now: Any) -> tuple[State, jax.Array]:
        doutput, gates, cell_before, cell, mask = now
        after = State(after.hidden + doutput, after.cell)
        dz, dcell_before = cell_backward(names, gates, cell_before, cell, after)
        if mask is not None:
            dz = jnp.where(mask[:, None], dz, 0)
        before = State(matmul(dz, recurrent_transposed), dcell_before)
        return _keep_masked(mask, before, after), dz

    dstate, dz = lax.scan(step, dlast, (dsequence, gates, _before(state.cell, cell), cell, mask), reverse=True)
    over_steps = functools.partial(jnp.tensordot, axes=((0, 1), (0, 1)), precision="highest")
    dparams = LSTMParams(
        kernel=over_steps(x, dz),
        recurrent_kernel=over_steps(_before(state.hidden, hidden), dz),
        bias=None if params.bias is None else dz.sum((0, 1)),
    )
    return dparams, matmul(dz, params.kernel.T), dstate, None


_scan_custom = jax.custom_vjp(_scan, nondiff_argnums=(0,))
_scan_custom.defvjp(_scan_forward, _scan_backward)


def _keep_masked(mask: jax.Array | None, after: State, before: State) -> State:
    if mask is None:
        return after
    return State(*(jnp.where(mask[:, None], new, old) for new, old in zip(after, before, strict=True)))


def _before(first: jax.Array, after: jax.Array) -> jax.Array:
    """The value before each step, `[timesteps, batch, units]`, from the first one and those after each step."""
    return jnp.concatenate([first[None], after], 0)[:-1]
