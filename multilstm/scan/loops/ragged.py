"""The loop over sequences of different lengths, at the cost of their real lengths, and its gradient by hand.

Sequences are sorted, the longest first. All of them go through the loop until the first ones end.
Then the number of rows falls, in up to eight steps, so that ended sequences are no longer computed.
The number of chunks that each number of rows goes through is known only at run time.
So lengths may be traced, new lengths compile nothing, and padding costs no time.
Within a chunk, a mask keeps the state of ended sequences.

`chunk.py` has the equations. The loops write their results in place, into arrays for all chunks.

JAX differentiates no loop whose number of turns it does not know. So a gradient of the gradient is that of `run` under
a mask (`_masked_backward`), which JAX can differentiate again and again. It costs the padding too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.cell import LSTMParams
from multilstm.scan.loops.chunk import (
    Inputs,
    Kept,
    Weights,
    backward_chunk,
    forward_chunk,
    weights_backward,
    weights_forward,
    zero_gradient,
)
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.scan.loops.recurrence import run
from multilstm.spec.arrays import State

_GROUPS = 8


class _Group(NamedTuple):
    """The first `rows` of the sorted sequences, in the chunks from `begin` to before `end`."""

    rows: int
    begin: Any
    end: Any


class _Sorted(NamedTuple):
    """The order of the sequences, the longest first.

    Attributes:
        order: the number of the sequence at each place; None: the given order, since all are equally long.
        lengths: of the sequences in that order.
    """

    order: jax.Array | None
    lengths: jax.Array

    def sort(self, tree: Any) -> Any:
        """Return arrays `[..., batch, size]` in this order."""
        return tree if self.order is None else jax.tree.map(lambda array: array[..., self.order, :], tree)

    def restore(self, tree: Any) -> Any:
        """Return sorted arrays in the given order: the inverse of `sort`."""
        place = None if self.order is None else jnp.argsort(self.order)
        return tree if place is None else jax.tree.map(lambda array: array[..., place, :], tree)


def run_ragged(options: LoopOptions, problem: Problem) -> tuple[jax.Array, State]:
    """Run the loop; the gradient has reverse mode only.

    Args:
        options: the activations and the layout.
        problem: the arrays, with an initial state and lengths, and without a mask.

    Returns:
        The hidden state after every timestep `[batch, timesteps, units]`, and the state at each sequence's end.
        After a sequence's end, its hidden states are finite and mean nothing.
    """
    return _loops_forward(options, False, problem)[0]  # type: ignore[no-any-return]


def _loops_forward(options: LoopOptions, differentiated: bool, problem: Problem) -> Any:
    plan = options.plan
    layout = plan.gradient if differentiated else plan.forward
    chunk = layout.chunk
    keep = differentiated and not plan.recompute
    by_length = _sort(problem)
    groups = _groups(by_length, chunk)
    x = _pad(problem.x, chunk)
    now, dropped = by_length.sort((problem.state, problem.dropout))
    weights = weights_forward(problem._replace(dropout=dropped), layout.left)

    def step(number: Any, state: State) -> tuple[State, Any]:
        rows = state.hidden.shape[0]
        taken = _take(x, by_length, number, chunk, rows)
        hidden, last, steps = forward_chunk(options.names, layout, keep, _first_rows(weights, rows), taken, state)
        return last, (hidden, steps, state if differentiated else None)

    stored = _zeros_of(step, x.shape[1] // chunk, now)
    ended = []
    for number, group in enumerate(groups):

        def body(index: Any, carry: Any) -> Any:
            state, stored = carry
            state, results = step(index, state)
            return state, _put(stored, results, index)

        now, stored = lax.fori_loop(group.begin, group.end, body, (now, stored))
        still = groups[number + 1].rows if number + 1 < len(groups) else 0
        ended.append(jax.tree.map(lambda array, still=still: array[still:], now))
        now = jax.tree.map(lambda array, still=still: array[:still], now)
    last = by_length.restore(jax.tree.map(lambda *parts: jnp.concatenate(parts), *reversed(ended)))
    hidden = _join(by_length.restore(stored[0]), problem.x.shape[1])
    if plan.recompute:
        stored = (None, *stored[1:])  # as in `recurrence.py`
    return (hidden, last), stored if differentiated else None


def _loops_backward(options: LoopOptions, problem: Problem, kept: Any, cotangents: tuple[jax.Array, State]) -> Problem:
    """Return the derivatives by weights, inputs and state; `kept` as the second result of `_loops_forward`."""
    hidden, steps, starts = kept
    params, plan = problem.params, options.plan
    chunk = plan.gradient.chunk
    by_length = _sort(problem)
    groups = _groups(by_length, chunk)
    x, dhidden = _pad(problem.x, chunk), _pad(cotangents[0], chunk)
    dstate, dropped = by_length.sort((cotangents[1], problem.dropout))
    weights = weights_forward(problem._replace(dropout=dropped), plan.gradient.left)
    transposes = weights_backward(params, plan.left_backward)

    def step(number: Any, after: State) -> tuple[State, LSTMParams, jax.Array]:
        rows = after.hidden.shape[0]
        taken = _take(x, by_length, number, chunk, rows)
        down = _take(dhidden, by_length, number, chunk, rows).x
        kept = Kept(*jax.tree.map(lambda array: _get(array, number, rows), (starts, hidden, steps)))
        of_rows = _first_rows(weights, rows)
        return backward_chunk(options.names, plan.gradient, of_rows, transposes, taken, kept, down, after)

    after = jax.tree.map(lambda array: array[:0], dstate)
    dparams = zero_gradient(params)
    dx = _zeros_of(lambda number, after: (None, step(number, after)[2]), x.shape[1] // chunk, dstate)
    for group in reversed(groups):
        begun = slice(after.hidden.shape[0], group.rows)
        after = jax.tree.map(lambda up, own, begun=begun: jnp.concatenate([up, own[begun]]), after, dstate)

        def body(index: Any, carry: Any, group: _Group = group) -> Any:
            after, total, dx = carry
            number = group.begin + group.end - 1 - index
            after, dparams, dx_of_chunk = step(number, after)
            return after, jax.tree.map(jnp.add, total, dparams), _put(dx, dx_of_chunk, number)

        after, dparams, dx = lax.fori_loop(group.begin, group.end, body, (after, dparams, dx))
    dparams = jax.tree.map(lambda d, array: d.astype(array.dtype), dparams, params)
    dx = _join(by_length.restore(dx), problem.x.shape[1])
    return Problem(dparams, dx, by_length.restore(after), None, None, None)  # type: ignore[arg-type]


def _pull(run: Callable[[Problem], Any], problem: Problem, cotangents: tuple[jax.Array, State]) -> Problem:
    """Return the derivatives of `run(problem)` by weights, inputs and state."""

    def of_floats(params: Any, x: Any, state: Any) -> Any:
        return run(problem._replace(params=params, x=x, state=state))

    params, x, state = jax.vjp(of_floats, problem.params, problem.x, problem.state)[1](cotangents)
    return Problem(params, x, state, None, None, None)  # type: ignore[arg-type]


def _masked_backward(options: LoopOptions, problem: Problem, cotangents: tuple[jax.Array, State]) -> Problem:
    """Return the same as `_loops_backward`, by loops whose numbers of turns are known, which JAX can differentiate."""
    mask = mask_of_lengths(problem.lengths, *problem.x.shape[:2])

    def masked(problem: Problem) -> tuple[jax.Array, State]:
        x = jnp.where(mask[..., None], problem.x, 0)
        hidden, last = run(options, problem._replace(x=x, mask=mask, lengths=None))
        return jnp.where(mask[..., None], hidden, 0), last

    return _pull(masked, problem, cotangents)


def _pull_backward(options: LoopOptions, residuals: Any, up: Problem) -> tuple[Problem, None, Any]:
    problem, cotangents = residuals

    def of_floats(cotangents: Any, params: Any, x: Any, state: Any) -> Problem:
        return _masked_backward(options, problem._replace(params=params, x=x, state=state), cotangents)

    pull = jax.vjp(of_floats, cotangents, problem.params, problem.x, problem.state)[1]
    dcotangents, params, x, state = pull(up)
    return Problem(params, x, state, None, None, None), None, dcotangents  # type: ignore[arg-type]


# The rules of the gradient by hand. Each has a gradient of its own, and so on, for gradients of the gradient.
# The kept values follow from the problem, so that its derivatives are complete without theirs.
run_ragged_with_custom_gradient = jax.custom_vjp(run_ragged, nondiff_argnums=(0,))
_rule_forward = jax.custom_vjp(_loops_forward, nondiff_argnums=(0, 1))
_rule_forward.defvjp(
    lambda options, differentiated, problem: (_rule_forward(options, differentiated, problem), problem),
    lambda options, differentiated, problem, cotangents: (
        _pull(lambda given: run_ragged_with_custom_gradient(options, given), problem, cotangents[0]),
    ),
)
_rule_backward = jax.custom_vjp(_loops_backward, nondiff_argnums=(0,))
_rule_backward.defvjp(
    lambda options, problem, kept, cotangents: (
        _rule_backward(options, problem, kept, cotangents),
        (problem, cotangents),
    ),
    _pull_backward,
)


def _run_forward(options: LoopOptions, problem: Problem) -> Any:
    results, kept = _rule_forward(options, True, problem)
    return results, (problem, kept)


def _run_backward(options: LoopOptions, residuals: Any, cotangents: tuple[jax.Array, State]) -> tuple[Problem]:
    return (_rule_backward(options, *residuals, cotangents),)


run_ragged_with_custom_gradient.defvjp(_run_forward, _run_backward)


def _sort(problem: Problem) -> _Sorted:
    lengths = problem.lengths
    if lengths.ndim == 0:
        return _Sorted(None, jnp.broadcast_to(lengths, problem.x.shape[:1]))
    order = jnp.argsort(-lengths)
    return _Sorted(order, lengths[order])


def _groups(by_length: _Sorted, chunk: int) -> list[_Group]:
    """Return the groups: all rows until the last eighth has ended, the others until the next eighth has, and so on."""
    batch = by_length.lengths.shape[0]
    eighth = batch if by_length.order is None else -(-batch // _GROUPS)
    ends = (by_length.lengths + chunk - 1) // chunk
    groups: list[_Group] = []
    for rows in range(batch, 0, -eighth):
        begin = groups[-1].end if groups else 0
        groups.append(_Group(rows, begin, ends[max(rows - eighth, 0)]))
    return groups


def _pad(array: jax.Array, chunk: int) -> jax.Array:
    """Return `[batch, timesteps, ...]`, padded to whole chunks."""
    missing = -array.shape[1] % chunk
    return jnp.pad(array, ((0, 0), (0, missing), (0, 0))) if missing else array


def _take(array: jax.Array, by_length: _Sorted, number: Any, chunk: int, rows: int) -> Inputs:
    """Return one chunk of the first rows, time first, 0 where they have ended."""
    part = jnp.swapaxes(lax.dynamic_slice_in_dim(array, number * chunk, chunk, 1), 0, 1)
    part = part[:, :rows] if by_length.order is None else part[:, by_length.order[:rows]]
    begin, steps = jnp.asarray(number * chunk), jnp.arange(chunk)
    steps = (begin.astype(steps.dtype) + steps)[:, None]
    ends = by_length.lengths[:rows].astype(steps.dtype)[None]
    mask = steps < ends
    return Inputs(jnp.where(mask[..., None], part, 0), mask)


def _zeros_of(step: Callable[[Any, State], tuple[Any, Any]], chunks: int, state: State) -> Any:
    """Return zeros for the second result of `step`, for every chunk and all rows."""
    results = jax.eval_shape(step, 0, state)[1]
    return jax.tree.map(lambda leaf: jnp.zeros((chunks, *leaf.shape), leaf.dtype), results)


def _put(stored: Any, results: Any, number: Any) -> Any:
    """Write `results [..., rows, size]` as entry `number` of `stored [chunks, ..., batch, size]`."""
    zero = jnp.zeros_like(number)
    return jax.tree.map(
        lambda array, entry: lax.dynamic_update_slice(array, entry[None], (number, *[zero] * entry.ndim)),
        stored,
        results,
    )


def _get(stored: jax.Array, number: Any, rows: int) -> jax.Array:
    entry = lax.dynamic_index_in_dim(stored, number, keepdims=False)
    return entry[..., :rows, :]


def _join(stored: jax.Array, timesteps: int) -> jax.Array:
    """Return `[batch, timesteps, size]` from `[chunks, chunk, batch, size]`."""
    return jnp.swapaxes(stored.reshape(-1, *stored.shape[2:]), 0, 1)[:, :timesteps]


def _first_rows(weights: Weights, rows: int) -> Weights:
    """Return the weights with the dropout masks of the first rows."""
    return weights._replace(dropout=jax.tree.map(lambda mask: mask[..., slice(0, rows), :], weights.dropout))


def mask_of_lengths(lengths: jax.Array, batch: int, timesteps: int) -> jax.Array:
    """Return the boolean mask `[batch, timesteps]` that is True up to each length."""
    steps = jnp.arange(timesteps)
    ends = lengths[..., None].astype(steps.dtype)
    return jnp.broadcast_to(lax.broadcast_to_rank(steps, ends.ndim) < ends, (batch, timesteps))


def reverse_within(array: jax.Array, lengths: jax.Array) -> jax.Array:
    """Return each sequence `[batch, timesteps, size]` reversed up to its length; the padding after it stays."""
    steps = jnp.arange(array.shape[1])[None]
    ends = jnp.broadcast_to(lengths, array.shape[:1])[:, None]
    return _permute(array, jnp.where(steps < ends.astype(steps.dtype), (ends - 1).astype(steps.dtype) - steps, steps))


def _gather(array: jax.Array, index: jax.Array) -> jax.Array:
    """Return `array[b, index[b, t]]`, for an index that is its own inverse: its transpose is itself, and no scatter."""
    return jnp.take_along_axis(array, index[..., None], 1)


_permute = jax.custom_vjp(_gather)
_permute.defvjp(lambda array, index: (_gather(array, index), index), lambda index, d: (_gather(d, index), None))
