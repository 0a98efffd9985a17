"""The loop over time, chunk by chunk, and its gradient by hand.

Inputs and outputs have the batch first, and what is kept for the gradient has time first; only a chunk at a time is
turned round, since another copy of everything costs more than it saves.

Backwards, the loop carries `dhidden` and `dcell` only and writes `dz` of every step (see `cell.py`). With X, H, Z the
inputs, the hidden states before each step, and dz, of all steps and sequences of a chunk under one another, each
weight's gradient is one product a chunk, summed over the chunks, instead of a sum over steps:

    dkernel = X.T @ dZ;   drecurrent_kernel = H.T @ dZ;   dbias = sum(dZ);   dX = dZ @ kernel.T

A masked step keeps the state, so that there `dz = 0`, and `dhidden`, `dcell` pass unchanged.

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

from multilstm.scan.cell import Gates, LSTMParams, Names, cell_backward, cell_forward
from multilstm.scan.plan import Plan
from multilstm.scan.projection import project, pull_input, pull_kernel, sum_rows
from multilstm.state import State


class Inputs(NamedTuple):
    """What goes through the loop.

    Attributes:
        x: `[batch, timesteps, features]`.
        mask: boolean `[batch, timesteps]`, or None.
    """

    x: Any
    mask: Any = None


class Dropout(NamedTuple):
    """What inputs and hidden states are multiplied by before their products; see `projection.py`.

    Attributes:
        inputs: `[batch, features]`, `[4, batch, features]`, or None.
        hidden: `[batch, units]`, `[4, batch, units]`, or None.
    """

    inputs: Any = None
    hidden: Any = None


class _Steps(NamedTuple):
    """What the gradient needs of every timestep: `[timesteps, batch, units]` each, the gates as `cell_forward` kept."""

    gates: Gates
    cell: jax.Array


class _Block(NamedTuple):
    """`chunks` equal ones of `size` timesteps, from timestep `begin`."""

    begin: int
    chunks: int
    size: int


def run(
    names: Names, plan: Plan, params: LSTMParams, inputs: Inputs, state: State, dropout: Dropout
) -> tuple[jax.Array, State]:
    """The hidden state after every timestep `[batch, timesteps, units]`, and the last state; one timestep at least."""
    if not plan.unroll:
        plan = plan._replace(chunk=inputs.x.shape[1])  # chunks serve the gradient
    hidden, last, _ = _forward(names, plan, False, params, inputs, state, dropout)
    return _join(hidden), last


def _forward(
    names: Names, plan: Plan, keep: bool, params: LSTMParams, inputs: Inputs, state: State, dropout: Dropout
) -> tuple[list[jax.Array], State, list[Any]]:
    """Block by block: hidden states, and what `keep` asks for with the state before each chunk; and the last state."""
    hidden, kept = [], []
    for block in _blocks(plan, inputs.x.shape[1]):

        def chunk(start: State, now: Any, block: _Block = block) -> tuple[State, Any]:
            hidden, last, steps = _forward_chunk(names, plan, keep, params, _take(block, now, inputs), start, dropout)
            return last, (hidden, (steps, start))

        state, (one, each) = _over_chunks(block, chunk, state, None, False)
        hidden.append(one)
        kept.append(each)
    return hidden, state, kept


def _run_forward(
    names: Names, plan: Plan, params: LSTMParams, inputs: Inputs, state: State, dropout: Dropout
) -> tuple[tuple[jax.Array, State], Any]:
    hidden, last, kept = _forward(names, plan, not plan.recompute, params, inputs, state, dropout)
    return (_join(hidden), last), (params, inputs, dropout, hidden, kept)


def _run_backward(names: Names, plan: Plan, residuals: Any, cotangents: tuple[jax.Array, State]) -> Any:
    params, inputs, dropout, hidden, kept = residuals
    dhidden, dstate = cotangents
    transposed = LSTMParams(params.kernel.T, params.recurrent_kernel.T)
    carry = (dstate, jax.tree.map(jnp.zeros_like, params))
    dx: list[jax.Array] = []
    for block, each in reversed(
        list(zip(_blocks(plan, inputs.x.shape[1]), zip(hidden, kept, strict=True), strict=True))
    ):

        def chunk(carry: Any, now: Any, block: _Block = block) -> tuple[Any, jax.Array]:
            after, total = carry
            number, (hidden, (steps, start)) = now
            own, down = _take(block, number, (inputs, dhidden))
            if steps is None:
                steps = _forward_chunk(names, plan, True, params, own, start, dropout)[2]
            before, dz = _backward_chunk(names, plan, transposed, own.mask, start, steps, down, after, dropout)
            dparams = LSTMParams(
                kernel=pull_kernel(dropout.inputs, own.x, dz),
                recurrent_kernel=pull_kernel(dropout.hidden, _before(start.hidden, hidden), dz),
                bias=None if params.bias is None else sum_rows(dz),
            )
            return (before, jax.tree.map(jnp.add, total, dparams)), pull_input(transposed.kernel, dropout.inputs, dz)

        carry, one = _over_chunks(block, chunk, carry, each, True)
        dx.insert(0, one)
    dstate, dparams = carry
    return dparams, Inputs(_join(dx)), dstate, None


run_with_custom_gradient = jax.custom_vjp(run, nondiff_argnums=(0, 1))
run_with_custom_gradient.defvjp(_run_forward, _run_backward)


def _forward_chunk(
    names: Names, plan: Plan, keep: bool, params: LSTMParams, inputs: Inputs, start: State, dropout: Dropout
) -> tuple[jax.Array, State, _Steps | None]:
    def receive(x: jax.Array) -> jax.Array:
        z = project(params.kernel, dropout.inputs, x)
        return z if params.bias is None else z + params.bias

    def step(before: State, now: Inputs) -> tuple[State, Any]:
        z = now.x if plan.unroll else receive(now.x)
        z = z + project(params.recurrent_kernel, dropout.hidden, before.hidden)
        after, gates = cell_forward(names, z, before.cell)
        after = _keep_masked(now.mask, after, before)
        return after, (after.hidden, _Steps(gates, after.cell) if keep else None)

    if plan.unroll:
        inputs = inputs._replace(x=receive(inputs.x))
    last, (hidden, steps) = _over_steps(plan, step, start, inputs, False)
    return hidden, last, steps


def _backward_chunk(
    names: Names, plan: Plan, transposed: LSTMParams, mask: Any, start: State, steps: _Steps, dhidden: jax.Array,
    after: State, dropout: Dropout,
) -> tuple[State, jax.Array]:  # fmt: skip
    """The derivatives by the state before the chunk, and `dz [timesteps, batch, 4 * units]`."""

    def step(after: State, now: Any) -> tuple[State, jax.Array]:
        dhidden, (gates, cell), cell_before, mask = now
        after = State(after.hidden + dhidden, after.cell)
        dz, dcell_before = cell_backward(names, gates, cell_before, cell, after)
        if mask is not None:
            dz = jnp.where(mask[:, None], dz, 0)
        before = State(pull_input(transposed.recurrent_kernel, dropout.hidden, dz), dcell_before)
        return _keep_masked(mask, before, after), dz

    each = (dhidden, steps, _before(start.cell, steps.cell), mask)
    return _over_steps(plan, step, after, each, True)


def _over_steps(plan: Plan, step: Callable[[Any, Any], Any], carry: Any, xs: Any, reverse: bool) -> tuple[Any, Any]:
    """`lax.scan`, or the same written out."""
    if not plan.unroll:
        return lax.scan(step, carry, xs, reverse=reverse)  # type: ignore[no-any-return]
    length = jax.tree.leaves(xs)[0].shape[0]
    found: list[Any] = [None] * length
    for number in reversed(range(length)) if reverse else range(length):
        carry, found[number] = step(carry, jax.tree.map(lambda array, number=number: array[number], xs))
    return carry, jax.tree.map(lambda *arrays: jnp.stack(arrays), *found)


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


def _blocks(plan: Plan, timesteps: int) -> list[_Block]:
    """Whole chunks, and a shorter one for the timesteps that are left over."""
    size = min(plan.chunk, timesteps)
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


def _keep_masked(mask: jax.Array | None, after: State, before: State) -> State:
    if mask is None:
        return after
    return State(*(jnp.where(mask[:, None], new, old) for new, old in zip(after, before, strict=True)))


def _before(first: jax.Array, after: jax.Array) -> jax.Array:
    """The value before each step, `[timesteps, batch, units]`, from the first one and those after each step."""
    return jnp.concatenate([first[None], after[:-1]])
