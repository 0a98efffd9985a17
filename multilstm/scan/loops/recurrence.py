"""The loop over time, chunk by chunk, and its gradient by hand; a chunk's own are in `chunk.py`.

Inputs and outputs have the batch first, and what is kept for the gradient has time first; only a chunk at a time is
turned round, since another copy of everything costs more than it saves.

What the gradient needs of the gates is stored, or computed again from the state before each chunk: with chunks of
about the root of the number of steps, that is the checkpointing of Chen et al. 2016
(https://arxiv.org/abs/1604.06174).
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
    Weights,
    backward_chunk,
    forward_chunk,
    weights_backward,
    weights_forward,
    zero_gradient,
)
from multilstm.scan.loops.plan import Layout, Plan
from multilstm.spec.arrays import State


class _Block(NamedTuple):
    """`chunks` equal ones of `size` timesteps, from timestep `begin`."""

    begin: int
    chunks: int
    size: int


def run(
    names: Names, plan: Plan, params: LSTMParams, inputs: Inputs, state: State, dropout: Dropout
) -> tuple[jax.Array, State]:
    """The loop.

    Args:
        names: the activations.
        plan: how the loop is laid out.
        params: the weights.
        inputs: `[batch, timesteps, ...]`; one timestep at least.
        state: before the first step.
        dropout: see `dropout.py`.

    Returns:
        The hidden state after every timestep `[batch, timesteps, units]`, and the last state.
    """
    hidden, last, _ = _forward(names, plan.forward, False, weights_forward(params, plan.left), inputs, state, dropout)
    return _join(hidden), last


def _forward(
    names: Names, layout: Layout, keep: bool, weights: Weights, inputs: Inputs, state: State, dropout: Dropout
) -> tuple[list[jax.Array], State, list[Any]]:
    """Block by block: hidden states, and what `keep` asks for with the state before each chunk; and the last state."""
    hidden, kept = [], []
    for block in _blocks(layout.chunk, inputs.x.shape[1]):

        def chunk(start: State, now: Any, block: _Block = block) -> tuple[State, Any]:
            own = _take(block, now, inputs)
            hidden, last, steps = forward_chunk(names, layout.unroll, keep, weights, own, start, dropout)
            return last, (hidden, (steps, start))

        state, (one, each) = _over_chunks(block, chunk, state, None, False)
        hidden.append(one)
        kept.append(each)
    return hidden, state, kept


def _run_forward(
    names: Names, plan: Plan, params: LSTMParams, inputs: Inputs, state: State, dropout: Dropout
) -> tuple[tuple[jax.Array, State], Any]:
    hidden, last, kept = _forward(
        names, plan.gradient, not plan.recompute, weights_forward(params, plan.left), inputs, state, dropout
    )
    # Computed again, the hidden states come with the gates: so what a checkpoint saves is not spent on them.
    needed = [None] * len(hidden) if plan.recompute else hidden
    return (_join(hidden), last), (params, inputs, dropout, needed, kept)


def _run_backward(names: Names, plan: Plan, residuals: Any, cotangents: tuple[jax.Array, State]) -> Any:
    params, inputs, dropout, hidden, kept = residuals
    dhidden, dstate = cotangents
    weights, transposed = weights_forward(params, plan.left), weights_backward(params, plan.left_backward)
    carry = (dstate, zero_gradient(params))
    dx: list[jax.Array] = []
    blocks = list(zip(_blocks(plan.gradient.chunk, inputs.x.shape[1]), zip(hidden, kept, strict=True), strict=True))
    for block, each in reversed(blocks):

        def chunk(carry: Any, now: Any, block: _Block = block) -> tuple[Any, jax.Array]:
            after, total = carry
            number, (hidden, (steps, start)) = now
            own, down = _take(block, number, (inputs, dhidden))
            before, dparams, dx = backward_chunk(
                names, plan.gradient.unroll, weights, transposed, own, start, hidden, steps, dropout, down, after
            )
            return (before, jax.tree.map(jnp.add, total, dparams)), dx

        carry, one = _over_chunks(block, chunk, carry, each, True)
        dx.insert(0, one)
    dstate, dparams = carry
    return jax.tree.map(lambda d, array: d.astype(array.dtype), dparams, params), Inputs(_join(dx)), dstate, None


run_with_custom_gradient = jax.custom_vjp(run, nondiff_argnums=(0, 1))
run_with_custom_gradient.defvjp(_run_forward, _run_backward)


def _over_chunks(
    block: _Block, body: Callable[[Any, Any], Any], carry: Any, each: Any, reverse: bool
) -> tuple[Any, Any]:
    """`lax.scan` over the chunks of a block, or one call where it is only one.

    `body(carry, number)`, or `body(carry, (number, entry))` where `each` holds an entry for every chunk, stacked.
    """
    numbers = jnp.arange(block.chunks)
    xs = numbers if each is None else (numbers, each)
    if block.chunks > 1:
        return lax.scan(body, carry, xs, reverse=reverse)  # type: ignore[no-any-return]
    carry, ys = body(carry, jax.tree.map(lambda array: array[0], xs))
    return carry, jax.tree.map(lambda array: array[None], ys)


def _blocks(chunk: int, timesteps: int) -> list[_Block]:
    """Whole chunks, and a shorter one for the timesteps that are left over."""
    size = min(chunk, timesteps)
    chunks, rest = divmod(timesteps, size)
    return [_Block(0, chunks, size)] + ([_Block(chunks * size, 1, rest)] if rest else [])


def _take(block: _Block, number: Any, tree: Any) -> Any:
    """One chunk of arrays `[batch, timesteps, ...]`, time first."""
    begin, chunks, size = block

    def take(array: jax.Array) -> jax.Array:
        if chunks == 1:
            return jnp.swapaxes(array[:, begin : begin + size], 0, 1)
        return jnp.swapaxes(lax.dynamic_slice_in_dim(array, begin + number * size, size, 1), 0, 1)

    return jax.tree.map(take, tree)


def _join(parts: list[jax.Array]) -> jax.Array:
    """Arrays `[batch, timesteps, ...]` from blocks `[chunks, size, batch, ...]`."""
    flat = [part.reshape(part.shape[0] * part.shape[1], *part.shape[2:]) for part in parts]
    return jnp.swapaxes(flat[0] if len(flat) == 1 else jnp.concatenate(flat), 0, 1)
