"""The loop over time, chunk by chunk, and its gradient by hand; `chunk.py` has the gradient of one chunk.

Inputs and outputs have the batch first; the values kept for the gradient have time first.
Only one chunk at a time is transposed, since another copy of all arrays costs more than it saves.

The gates are stored for the gradient, or computed again from the state before each chunk.
With chunks of about the root of the number of timesteps, that is the checkpointing of Chen et al. 2016
(https://arxiv.org/abs/1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.loops.chunk import (
    Inputs,
    Kept,
    backward_chunk,
    forward_chunk,
    weights_backward,
    weights_forward,
    zero_gradient,
)
from multilstm.scan.loops.plan import Layout
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.spec.arrays import State


class _Block(NamedTuple):
    """A number of equal chunks.

    Attributes:
        begin: the first timestep.
        chunks: the number of chunks.
        size: the number of timesteps in each.
    """

    begin: int
    chunks: int
    size: int


def run(options: LoopOptions, problem: Problem) -> tuple[jax.Array, State]:
    """Run the loop.

    Args:
        options: the activations and the layout.
        problem: the arrays, with an initial state, without lengths, and with one timestep at least.

    Returns:
        The hidden state after every timestep `[batch, timesteps, units]`, and the last state.
    """
    hidden, last, _ = _forward(options, options.plan.forward, False, problem)
    return _join(hidden), last


def _forward(
    options: LoopOptions, layout: Layout, keep: bool, problem: Problem
) -> tuple[list[jax.Array], State, list[Any]]:
    """Return hidden states, the last state, and `(Steps or None, state before)` of each chunk, block by block."""
    weights, inputs = weights_forward(problem, layout.left), Inputs(problem.x, problem.mask)
    state: Any = problem.state
    hidden, kept = [], []
    for block in _blocks(layout.chunk, problem.x.shape[1]):

        def chunk(start: State, now: Any, block: _Block = block) -> tuple[State, Any]:
            taken = _take(block, now, inputs)
            hidden, last, steps = forward_chunk(options.names, layout, keep, weights, taken, start)
            return last, (hidden, (steps, start))

        state, (hidden_of_block, kept_of_block) = _over_chunks(block, chunk, state, None, False)
        hidden.append(hidden_of_block)
        kept.append(kept_of_block)
    return hidden, state, kept


def _run_forward(options: LoopOptions, problem: Problem) -> tuple[tuple[jax.Array, State], Any]:
    plan = options.plan
    hidden, last, kept = _forward(options, plan.gradient, not plan.recompute, problem)
    # Recomputing the gates gives the hidden states too; storing these would spend the memory that a checkpoint saves.
    needed = [None] * len(hidden) if plan.recompute else hidden
    return (_join(hidden), last), (problem._replace(state=None), needed, kept)


def _run_backward(options: LoopOptions, residuals: Any, cotangents: tuple[jax.Array, State]) -> tuple[Problem]:
    problem, hidden, kept = residuals
    params, inputs, plan = problem.params, Inputs(problem.x, problem.mask), options.plan
    dhidden, dstate = cotangents
    weights, transposes = weights_forward(problem, plan.gradient.left), weights_backward(params, plan.left_backward)
    carry = (dstate, zero_gradient(params))
    dx: list[jax.Array] = []
    blocks = list(zip(_blocks(plan.gradient.chunk, problem.x.shape[1]), zip(hidden, kept, strict=True), strict=True))
    for block, entries in reversed(blocks):

        def chunk(carry: Any, now: Any, block: _Block = block) -> tuple[Any, jax.Array]:
            after, total = carry
            number, (hidden, (steps, start)) = now
            taken, down = _take(block, number, (inputs, dhidden))
            before, dparams, dx = backward_chunk(
                options.names, plan.gradient, weights, transposes, taken, Kept(start, hidden, steps), down, after
            )
            return (before, jax.tree.map(jnp.add, total, dparams)), dx

        carry, dx_of_block = _over_chunks(block, chunk, carry, entries, True)
        dx.insert(0, dx_of_block)
    dstate, dparams = carry
    dparams = jax.tree.map(lambda d, array: d.astype(array.dtype), dparams, params)
    return (Problem(dparams, _join(dx), dstate, None, None, None),)  # type: ignore[arg-type]


run_with_custom_gradient = jax.custom_vjp(run, nondiff_argnums=(0,))
run_with_custom_gradient.defvjp(_run_forward, _run_backward)


def _over_chunks(
    block: _Block, body: Callable[[Any, Any], Any], carry: Any, entries: Any, reverse: bool
) -> tuple[Any, Any]:
    """Run `lax.scan` over the chunks of a block, or call `body` once for a block of one.

    The body is `body(carry, number)`; with `entries`, stacked over the chunks, it is `body(carry, (number, entry))`.
    """
    numbers = jnp.arange(block.chunks)
    xs = numbers if entries is None else (numbers, entries)
    if block.chunks > 1:
        return lax.scan(body, carry, xs, reverse=reverse)  # type: ignore[no-any-return]
    carry, ys = body(carry, jax.tree.map(lambda array: array[0], xs))
    return carry, jax.tree.map(lambda array: array[None], ys)


def _blocks(chunk: int, timesteps: int) -> list[_Block]:
    """Return the whole chunks, and a shorter one for the rest of the timesteps."""
    size = min(chunk, timesteps)
    chunks, rest = divmod(timesteps, size)
    return [_Block(0, chunks, size)] + ([_Block(chunks * size, 1, rest)] if rest else [])


def _take(block: _Block, number: Any, tree: Any) -> Any:
    """Return one chunk of arrays `[batch, timesteps, ...]`, time first."""
    begin, chunks, size = block

    def take(array: jax.Array) -> jax.Array:
        if chunks == 1:
            return jnp.swapaxes(array[:, begin : begin + size], 0, 1)
        return jnp.swapaxes(lax.dynamic_slice_in_dim(array, begin + number * size, size, 1), 0, 1)

    return jax.tree.map(take, tree)


def _join(parts: list[jax.Array]) -> jax.Array:
    """Return `[batch, timesteps, ...]` from blocks `[chunks, size, batch, ...]`."""
    flat = [part.reshape(part.shape[0] * part.shape[1], *part.shape[2:]) for part in parts]
    return jnp.swapaxes(flat[0] if len(flat) == 1 else jnp.concatenate(flat), 0, 1)
