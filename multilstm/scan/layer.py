"""An LSTM over time, with Keras's semantics; `loops` holds the loop and its gradient.

The functions are pure functions of pytrees: they work under `jax.jit`, `jax.grad` and `jax.vmap`, and keep the dtype of
their arrays. Masks act as in Keras. A masked value reaches neither outputs nor states nor gradients, not even NaN.

The output of a masked timestep repeats the output before it. The state is kept too, so that this output is the kept
hidden state; before the first timestep that counts it is 0. The choice between the two follows after the loop.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from multilstm.scan.activations import OVER_UNITS
from multilstm.scan.arguments import as_flag
from multilstm.scan.cell import LSTMParams
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.checks import (
    check_arrays,
    check_checkpoint,
    check_dropout,
    check_lengths,
    check_mesh,
    check_names,
)
from multilstm.scan.loops.plan import Plan, Sizes
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.scan.loops.ragged import mask_of_lengths, reverse_within, run_ragged_with_custom_gradient
from multilstm.scan.loops.recurrence import run, run_with_custom_gradient
from multilstm.scan.loops.shards import over_devices
from multilstm.scan.loops.split import MeshOption, Split, split_over
from multilstm.scan.loops.tournament import measured_split, planned
from multilstm.spec.arrays import AnyState, State


def lstm(  # noqa: PLR0913 - the public signature
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
    mesh: MeshOption | Split = None,
) -> tuple[jax.Array, State]:
    """Run an LSTM over a batch of sequences. The function is compiled on its own and needs no `jax.jit` around it.

    Args:
        params: the weights, in Keras's layout.
        x: `[batch, timesteps, features]`; batch and timesteps may be 0.
        state: the initial state, each `[batch, units]`; None: zeros.
        mask: boolean `[batch, timesteps]`, True where a timestep counts; None: all count.
        go_backwards: from the last timestep to the first; the sequence is returned in that order.
        activation: of the candidate and of the cell state, one of `ACTIVATIONS`.
        recurrent_activation: of the three gates.
        zero_output_for_mask: a masked timestep's output is 0. Otherwise it repeats the output before it, or 0.
        custom_gradient: the gradient derived by hand, which saves time and memory, in reverse mode only (`jax.grad`,
            also of itself). False also allows `jax.jvp` and `jax.hessian`.
        lengths: the number of timesteps of each sequence that count, from its first one: integers `[batch]`, or one
            for all. They equal a mask that is True for these timesteps, but ended sequences cost nothing, and new
            lengths compile nothing. The gradient by hand gives them no gradient. Concrete lengths outside of 0 to
            timesteps are refused; traced ones are clipped to that range. (Without x64 mode, a `jax.jit` of yours wraps
            integers of 64 bits at its border, before this function.)
        dropout: the masks of `draw_dropout`; no gradient is computed for them.
        dtype: of computation and results, such as `bfloat16`; None: that of the arrays. With weights in float32 this
            is Keras's mixed precision, and their gradients come back in float32.
        unroll: write out all timesteps one after another, as Keras's `unroll`; useful for few timesteps. It excludes
            `checkpoint`. With `lengths`, the gradient by hand keeps its loops, which end when the sequences do.
        checkpoint: keep the state of one timestep in every so many for the gradient, and recompute the others.
            True: about the root of the number of timesteps. For sequences whose gradient needs too much memory.
        mesh: devices that share the batch. Each runs its own loop; they communicate only for the sum of the weights'
            gradients. `auto` or True: all devices of this process where that was measured to be faster, else none.
            On a CPU, `tune_cpu` makes as many devices as cores. Arrays on one device stay there, and so do those in
            `jax.shard_map`, `jax.pmap` and `jax.set_mesh`. (A `jax.jit` of yours hides the devices of its arguments.
            For arguments on one device, pass None.) A mesh of one axis, as
            `multilstm.scan.parallel.data_parallel_mesh` returns it, is always used; its devices must divide the
            batch. None or False: no split. A `jax.shard_map` of yours needs `check_vma=False`.

    Returns:
        The outputs `[batch, timesteps, units]` and the state after the last timestep, each `[batch, units]`.

    Raises:
        InputError: for an array of a wrong shape or dtype; nothing is broadcast silently.
    """
    names = check_names(activation, recurrent_activation)
    params, x, state, mask = check_arrays(params, x, state, mask, dtype)
    lengths = check_lengths(lengths, mask, x)
    dropout = check_dropout(dropout, params, x)
    backwards, by_hand = as_flag("lstm: go_backwards", go_backwards), as_flag("lstm: custom_gradient", custom_gradient)
    zero_output = as_flag("lstm: zero_output_for_mask", zero_output_for_mask)
    batch, timesteps, features = x.shape
    sizes = Sizes(batch, timesteps, features, params.recurrent_kernel.shape[0], x.dtype.itemsize)
    if not isinstance(mesh, Split):
        mesh = split_over(
            check_mesh(mesh, sizes.batch), [sizes], measured_split, (params, x, state, mask, lengths, dropout)
        )
    plan = _plan(sizes, mesh, as_flag("lstm: unroll", unroll), checkpoint, by_hand and lengths is not None)
    if OVER_UNITS & {*names.gates}:
        plan = plan.with_widths(0, 0)
    options = LoopOptions(names, plan, backwards, zero_output, by_hand, mesh)
    return _compiled(options, Problem(params, x, state, mask, lengths, dropout))  # type: ignore[no-any-return]


def _plan(sizes: Sizes, split: Split | None, unroll: bool, checkpoint: bool | int, ragged: bool) -> Plan:
    """Return the plan for the rows of one device."""
    checkpoint = check_checkpoint(checkpoint, unroll)
    rows = sizes.batch if split is None else -(-sizes.batch // split.mesh.size)
    return planned(sizes._replace(batch=rows), unroll, checkpoint, ragged)


def last_output(
    sequence: jax.Array, state: AnyState, mask: jax.Array | None, go_backwards: bool, zero_output_for_mask: bool
) -> jax.Array:
    """Return the output of the last processed timestep `[batch, units]`: `sequence[:, -1]`, or 0 without timesteps.

    It is read from the state, so that the compiler can leave the sequence out. It is the hidden state, except for 0 in
    two cases: where no timestep counts, and, with `zero_output_for_mask`, where the last one does not count.

    Args:
        sequence: `[batch, timesteps, units]`, of which only the shape matters.
        state: the last state, each `[batch, units]`.
        mask: boolean `[batch, timesteps]`, or None.
        go_backwards: as in `lstm`.
        zero_output_for_mask: as in `lstm`.
    """
    if sequence.shape[1] == 0:
        return jnp.zeros_like(state.hidden)
    if mask is None:
        return state.hidden
    last = mask[:, 0 if go_backwards else -1] if zero_output_for_mask else mask.any(1)
    return jnp.where(last[:, None], state.hidden, 0)


def _lstm(options: LoopOptions, problem: Problem) -> tuple[jax.Array, State]:
    x, lengths = problem.x, problem.lengths
    (batch, timesteps, _), units = x.shape, problem.params.recurrent_kernel.shape[0]
    if problem.state is None:
        zeros = jnp.zeros((batch, units), x.dtype)
        problem = problem._replace(state=State(zeros, zeros))
    if 0 in (batch, timesteps):
        return jnp.zeros((batch, timesteps, units), x.dtype), problem.state  # type: ignore[return-value]
    if lengths is None:
        return _masked(options, problem)
    mask = mask_of_lengths(lengths, batch, timesteps)
    if options.custom_gradient:
        return _ragged(options, problem, mask)
    return _masked(options, problem._replace(mask=mask, lengths=None))


_compiled = jax.jit(_lstm, static_argnums=0)


def _masked(options: LoopOptions, problem: Problem) -> tuple[jax.Array, State]:
    """Run the loop over whole sequences, some of whose timesteps may be masked."""
    x, mask = problem.x, problem.mask
    if options.go_backwards:
        x = jnp.flip(x, 1)
        mask = None if mask is None else jnp.flip(mask, 1)
    if mask is not None:
        # Before the projection: 0 * NaN is NaN, so that a masked NaN must not meet the weights at all.
        x = jnp.where(mask[..., None], x, 0)
    loop = run_with_custom_gradient if options.custom_gradient else run
    sequence, last = over_devices(options, loop, problem._replace(x=x, mask=mask))
    if mask is not None:
        shown = mask if options.zero_output_for_mask else jnp.cumsum(mask, 1) > 0
        sequence = jnp.where(shown[..., None], sequence, 0)
    return sequence, last


def _ragged(options: LoopOptions, problem: Problem, mask: jax.Array) -> tuple[jax.Array, State]:
    """Run the loop over sequences that end at their lengths; `mask` is True up to these."""
    x, lengths = problem.x, problem.lengths
    if options.go_backwards:  # from each sequence's own end, so that none begins with masked timesteps
        x = reverse_within(x, lengths)
    sequence, last = over_devices(options, run_ragged_with_custom_gradient, problem._replace(x=x))
    if options.go_backwards:
        sequence, mask = jnp.flip(reverse_within(sequence, lengths), 1), jnp.flip(mask, 1)
    repeated = not (options.zero_output_for_mask or options.go_backwards)
    ended = jnp.where(lengths[..., None] > 0, last.hidden, 0)[:, None] if repeated else 0
    return jnp.where(mask[..., None], sequence, ended), last
