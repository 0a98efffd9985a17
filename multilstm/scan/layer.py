"""An LSTM over time, with Keras's semantics; the loop and its gradient are in `recurrence.py`.

Pure functions over pytrees: they work under `jax.jit`, `jax.grad` and `jax.vmap`, and keep the dtype that they are
given. What masks do is Keras's behaviour, and what is masked reaches neither outputs nor states nor gradients, NaN
and infinity included.

The output of a masked step repeats the output before it. As the state is kept too, that output is the kept hidden
state, except before the first step that counts, where it is 0: so it is a choice made after the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from multilstm.scan.cell import LSTMParams, Names
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.checks import check_arrays, check_checkpoint, check_dropout, check_lengths, check_mesh
from multilstm.scan.loops.chunk import Inputs
from multilstm.scan.loops.plan import Plan, Sizes, choose
from multilstm.scan.loops.ragged import Ragged, reverse_within, run_ragged_with_custom_gradient
from multilstm.scan.loops.recurrence import run, run_with_custom_gradient
from multilstm.spec.arrays import State


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
    *,
    lengths: jax.Array | None = None,
    dropout: Dropout | None = None,
    dtype: str | None = None,
    unroll: bool = False,
    checkpoint: bool | int = False,
    mesh: Mesh | None = None,
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
        lengths: how many timesteps of each sequence count, from its first one: integers `[batch]`, or one for all. The
            same as a mask that is True for these, but sequences that have ended cost nothing, and new lengths compile
            nothing. The gradient by hand then has none itself.
        dropout: the masks of `draw_dropout`; no gradient is computed for them.
        dtype: to compute and to return in, such as `bfloat16`; None: that of the arrays. With weights in float32 this
            is Keras's mixed precision, and their gradients come back in float32.
        unroll: write out all timesteps one after another, as Keras's `unroll`; worth it for few. Not beside
            `checkpoint`; beside `lengths` the gradient by hand keeps its loops, which end when the sequences do.
        checkpoint: keep the state of one timestep in every this many for the gradient, and compute the others again;
            True: about the root of the number of timesteps. For sequences whose gradient needs too much memory.
        mesh: one axis of devices that share the batch equally; each runs its own loop, and they meet only for the sum
            of the weights' gradients. `multilstm.scan.parallel.data_parallel_mesh` makes one. On a CPU, as many
            devices as cores, which `tune_cpu` makes, train up to twice as fast as one.

    Returns:
        The outputs `[batch, timesteps, units]` and the state after the last step, each `[batch, units]`.

    Raises:
        InputError: for an array whose shape or dtype does not fit; nothing is broadcast silently.
    """
    names = Names(activation, recurrent_activation)
    params, x, state, mask = check_arrays(params, x, state, mask, names, dtype)
    lengths = check_lengths(lengths, mask, x)
    dropout = check_dropout(dropout, params, x)
    check_mesh(mesh, x.shape[0])
    check_checkpoint(checkpoint, unroll)
    batch, timesteps, features = x.shape
    rows = batch if mesh is None else batch // mesh.size
    sizes = Sizes(rows, timesteps, features, params.recurrent_kernel.shape[0], x.dtype.itemsize)
    plan = choose(sizes, unroll, checkpoint, ragged=custom_gradient and lengths is not None)
    return _compiled(  # type: ignore[no-any-return]
        names, plan, mesh, go_backwards, zero_output_for_mask, custom_gradient, params, x, state, mask, lengths, dropout
    )


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
    plan: Plan,
    mesh: Mesh | None,
    go_backwards: bool,
    zero_output_for_mask: bool,
    custom_gradient: bool,
    params: LSTMParams,
    x: jax.Array,
    state: State | None,
    mask: jax.Array | None,
    lengths: jax.Array | None,
    dropout: Dropout,
) -> tuple[jax.Array, State]:
    (batch, timesteps, _), units = x.shape, params.recurrent_kernel.shape[0]
    if state is None:
        zeros = jnp.zeros((batch, units), x.dtype)
        state = State(zeros, zeros)
    if 0 in (batch, timesteps):
        return jnp.zeros((batch, timesteps, units), x.dtype), state
    if lengths is not None:
        mask = jnp.broadcast_to(jnp.arange(timesteps) < lengths[..., None], (batch, timesteps))
        if custom_gradient:
            return _ragged(
                names, plan, mesh, go_backwards, zero_output_for_mask, params, x, state, mask, lengths, dropout
            )
    if go_backwards:
        x = jnp.flip(x, 1)
        mask = None if mask is None else jnp.flip(mask, 1)
    if mask is not None:
        # Before the projection: 0 * NaN is NaN, so that a masked NaN must not meet the weights at all.
        x = jnp.where(mask[..., None], x, 0)
    loop: Callable[..., Any] = functools.partial(run_with_custom_gradient if custom_gradient else run, names, plan)
    sequence, last = _over(mesh, loop, params, Inputs(x, mask), state, dropout)
    if mask is not None:
        shown = mask if zero_output_for_mask else jnp.cumsum(mask, 1) > 0
        sequence = jnp.where(shown[..., None], sequence, 0)
    return sequence, last


def _ragged(
    names: Names,
    plan: Plan,
    mesh: Mesh | None,
    go_backwards: bool,
    zero_output_for_mask: bool,
    params: LSTMParams,
    x: jax.Array,
    state: State,
    mask: jax.Array,
    lengths: jax.Array,
    dropout: Dropout,
) -> tuple[jax.Array, State]:
    if go_backwards:  # from each sequence's own end, and so that none begins with masked timesteps
        x = reverse_within(x, lengths)
    loop = functools.partial(run_ragged_with_custom_gradient, names, plan)
    sequence, last = _over(mesh, loop, params, Ragged(x, lengths), state, dropout)
    if go_backwards:
        sequence, mask = jnp.flip(reverse_within(sequence, lengths), 1), jnp.flip(mask, 1)
    repeated = not (zero_output_for_mask or go_backwards)
    ended = jnp.where(lengths[..., None] > 0, last.hidden, 0)[:, None] if repeated else 0
    return jnp.where(mask[..., None], sequence, ended), last


_compiled = jax.jit(_lstm, static_argnums=(0, 1, 2, 3, 4, 5))


def _over(
    mesh: Mesh | None, loop: Callable[..., Any], params: LSTMParams, inputs: Any, state: State, dropout: Dropout
) -> Any:
    """The loop on every device over its own rows; the transpose of "the same weights everywhere" is their sum."""
    if mesh is None:
        return loop(params, inputs, state, dropout)
    rows, whole = PartitionSpec(*mesh.axis_names), PartitionSpec()
    by_gate = PartitionSpec(None, *mesh.axis_names)
    shared = jax.tree.map(lambda array: rows if array.ndim else whole, inputs)
    drops = Dropout(*(by_gate if each is not None and each.ndim == 3 else rows for each in dropout))
    split = jax.shard_map(loop, mesh=mesh, in_specs=(whole, shared, rows, drops), out_specs=rows, check_vma=False)
    return split(params, inputs, state, dropout)
