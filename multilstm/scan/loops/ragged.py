"""The loop over sequences of different lengths, at the cost of their real lengths, and its gradient by hand.

Sequences are sorted, the longest first. All of them go through the loop until the first ones end; then the rows become
fewer, in up to eight steps, so that what has ended is computed no more. How many chunks each number of rows goes
through is known only when the loop runs: lengths may be traced, new ones compile nothing, and room for longer
sequences costs no time. Within a chunk, a mask keeps the state of what has ended.

`chunk.py` has the equations. Results are kept in arrays for all chunks, which the loops fill in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.cell import LSTMParams, Names
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.chunk import (
    Inputs,
    backward_chunk,
    forward_chunk,
    weights_backward,
    weights_forward,
    zero_gradient,
)
from multilstm.scan.loops.plan import Plan
from multilstm.spec.arrays import State

_GROUPS = 8


class Ragged(NamedTuple):
    """What goes through the loop.

    Attributes:
        x: `[batch, timesteps, features]`.
        lengths: integers from 0 to timesteps, `[batch]`, or one for all sequences.
    """

    x: Any
    lengths: Any


class _Group(NamedTuple):
    """The first `rows` of the sorted sequences, in the chunks from `begin` to before `end`."""

    rows: int
    begin: Any
    end: Any


class _Sorted(NamedTuple):
    """The sequences, the longest first.

    Attributes:
        order: the number of the sequence at each place; None: as they are, since all are equally long.
        lengths: of the sequences in that order.
    """

    order: jax.Array | None
    lengths: jax.Array

    def sort(self, tree: Any) -> Any:
        """Arrays `[..., batch, size]` in this order."""
        return tree if self.order is None else jax.tree.map(lambda array: array[..., self.order, :], tree)

    def restore(self, tree: Any) -> Any:
        """The opposite of `sort`."""
        place = None if self.order is None else jnp.argsort(self.order)
        return tree if place is None else jax.tree.map(lambda array: array[..., place, :], tree)


def run_ragged(
    names: Names, plan: Plan, params: LSTMParams, inputs: Ragged, state: State, dropout: Dropout
) -> tuple[jax.Array, State]:
    """The loop; reverse mode only.

    Returns:
        The hidden state after every timestep `[batch, timesteps, units]`, which after a sequence's end is some finite
        number, and the state at each sequence's end.
    """
    return _run_forward(names, plan, params, inputs, state, dropout, differentiated=False)[0]  # type: ignore[no-any-return]


def _run_forward(
    names: Names,
    plan: Plan,
    params: LSTMParams,
    inputs: Ragged,
    state: State,
    dropout: Dropout,
    differentiated: bool = True,
) -> Any:
    chunk, unroll = plan.gradient if differentiated else plan.forward
    keep = differentiated and not plan.recompute
    by_length = _sort(inputs)
    groups = _groups(by_length, chunk)
    x = _pad(inputs.x, chunk)
    now, dropped = by_length.sort((state, dropout))
    weights = weights_forward(params, plan.left)

    def step(number: Any, state: State) -> tuple[State, Any]:
        rows = state.hidden.shape[0]
        own = _take(x, by_length, number, chunk, rows)
        hidden, last, steps = forward_chunk(names, unroll, keep, weights, own, state, _rows(dropped, slice(0, rows)))
        return last, (hidden, steps, state if differentiated else None)

    stored = _room(step, x.shape[1] // chunk, now)
    ended = []
    for number, group in enumerate(groups):

        def body(index: Any, carry: Any) -> Any:
            state, stored = carry
            state, made = step(index, state)
            return state, _put(stored, made, index)

        now, stored = lax.fori_loop(group.begin, group.end, body, (now, stored))
        still = groups[number + 1].rows if number + 1 < len(groups) else 0
        ended.append(jax.tree.map(lambda array, still=still: array[still:], now))
        now = jax.tree.map(lambda array, still=still: array[:still], now)
    last = by_length.restore(jax.tree.map(lambda *parts: jnp.concatenate(parts), *reversed(ended)))
    hidden = _join(by_length.restore(stored[0]), inputs.x.shape[1])
    if plan.recompute:
        stored = (None, *stored[1:])  # as in `recurrence.py`
    return (hidden, last), (params, inputs, dropout, stored) if differentiated else None


def _run_backward(names: Names, plan: Plan, residuals: Any, cotangents: tuple[jax.Array, State]) -> Any:
    params, inputs, dropout, (hidden, steps, starts) = residuals
    chunk, unroll = plan.gradient
    by_length = _sort(inputs)
    groups = _groups(by_length, chunk)
    x, dhidden = _pad(inputs.x, chunk), _pad(cotangents[0], chunk)
    dstate, dropped = by_length.sort((cotangents[1], dropout))
    weights, transposed = weights_forward(params, plan.left), weights_backward(params, plan.left_backward)

    def step(number: Any, after: State) -> tuple[State, LSTMParams, jax.Array]:
        rows = after.hidden.shape[0]
        own = _take(x, by_length, number, chunk, rows)
        down = _take(dhidden, by_length, number, chunk, rows).x
        start, before, made = jax.tree.map(lambda array: _get(array, number, rows), (starts, hidden, steps))
        drop = _rows(dropped, slice(0, rows))
        return backward_chunk(names, unroll, weights, transposed, own, start, before, made, drop, down, after)

    after = jax.tree.map(lambda array: array[:0], dstate)
    dparams = zero_gradient(params)
    dx = _room(lambda number, after: (None, step(number, after)[2]), x.shape[1] // chunk, dstate)
    for group in reversed(groups):
        begun = slice(after.hidden.shape[0], group.rows)
        after = jax.tree.map(lambda up, own, begun=begun: jnp.concatenate([up, own[begun]]), after, dstate)

        def body(index: Any, carry: Any, group: _Group = group) -> Any:
            after, total, dx = carry
            number = group.begin + group.end - 1 - index
            after, dparams, one = step(number, after)
            return after, jax.tree.map(jnp.add, total, dparams), _put(dx, one, number)

        after, dparams, dx = lax.fori_loop(group.begin, group.end, body, (after, dparams, dx))
    dparams = jax.tree.map(lambda d, array: d.astype(array.dtype), dparams, params)
    dx = _join(by_length.restore(dx), inputs.x.shape[1])
    return dparams, Ragged(dx, None), by_length.restore(after), None


run_ragged_with_custom_gradient = jax.custom_vjp(run_ragged, nondiff_argnums=(0, 1))
run_ragged_with_custom_gradient.defvjp(_run_forward, _run_backward)


def _sort(inputs: Ragged) -> _Sorted:
    if inputs.lengths.ndim == 0:
        return _Sorted(None, jnp.broadcast_to(inputs.lengths, inputs.x.shape[:1]))
    order = jnp.argsort(-inputs.lengths)
    return _Sorted(order, inputs.lengths[order])


def _groups(by_length: _Sorted, chunk: int) -> list[_Group]:
    """All rows until the longest of the last eighth has ended, all but these until the next eighth has, and so on."""
    batch = by_length.lengths.shape[0]
    each = batch if by_length.order is None else -(-batch // _GROUPS)
    ends = (by_length.lengths + chunk - 1) // chunk
    groups: list[_Group] = []
    for rows in range(batch, 0, -each):
        begin = groups[-1].end if groups else 0
        groups.append(_Group(rows, begin, ends[max(rows - each, 0)]))
    return groups


def _pad(array: jax.Array, chunk: int) -> jax.Array:
    """`[batch, timesteps, ...]` with as many timesteps as whole chunks have."""
    missing = -array.shape[1] % chunk
    return jnp.pad(array, ((0, 0), (0, missing), (0, 0))) if missing else array


def _take(array: jax.Array, by_length: _Sorted, number: Any, chunk: int, rows: int) -> Inputs:
    """One chunk of the first rows, time first, 0 where they have ended."""
    part = jnp.swapaxes(lax.dynamic_slice_in_dim(array, number * chunk, chunk, 1), 0, 1)
    part = part[:, :rows] if by_length.order is None else part[:, by_length.order[:rows]]
    mask = (number * chunk + jnp.arange(chunk))[:, None] < by_length.lengths[:rows]
    return Inputs(jnp.where(mask[..., None], part, 0), mask)


def _room(step: Callable[[Any, State], tuple[Any, Any]], chunks: int, state: State) -> Any:
    """Zeros for what `step` returns second, for every chunk and all rows."""
    made = jax.eval_shape(step, 0, state)[1]
    return jax.tree.map(lambda leaf: jnp.zeros((chunks, *leaf.shape), leaf.dtype), made)


def _put(stored: Any, made: Any, number: Any) -> Any:
    """`made [..., rows, size]` as entry `number` of `stored [chunks, ..., batch, size]`."""
    zero = jnp.zeros_like(number)
    return jax.tree.map(
        lambda all_, one: lax.dynamic_update_slice(all_, one[None], (number, *[zero] * one.ndim)), stored, made
    )


def _get(stored: jax.Array, number: Any, rows: int) -> jax.Array:
    entry = lax.dynamic_index_in_dim(stored, number, keepdims=False)
    return entry[..., :rows, :]


def _join(stored: jax.Array, timesteps: int) -> jax.Array:
    """`[batch, timesteps, size]` from `[chunks, chunk, batch, size]`."""
    return jnp.swapaxes(stored.reshape(-1, *stored.shape[2:]), 0, 1)[:, :timesteps]


def _rows(dropout: Dropout, rows: Any) -> Dropout:
    return Dropout(*(None if each is None else each[..., rows, :] for each in dropout))


def reverse_within(array: jax.Array, lengths: jax.Array) -> jax.Array:
    """Each sequence `[batch, timesteps, size]` from its end to its beginning; what comes after its end stays."""
    steps, ends = jnp.arange(array.shape[1])[None], jnp.broadcast_to(lengths, array.shape[:1])[:, None]
    return _permute(array, jnp.where(steps < ends, ends - 1 - steps, steps))


def _gather(array: jax.Array, index: jax.Array) -> jax.Array:
    """`array[b, index[b, t]]`, for an index that is its own inverse: so its transpose is itself, and no scatter."""
    return jnp.take_along_axis(array, index[..., None], 1)


_permute = jax.custom_vjp(_gather)
_permute.defvjp(lambda array, index: (_gather(array, index), index), lambda index, d: (_gather(d, index), None))
