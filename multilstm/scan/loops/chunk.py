"""Some timesteps together: forwards, and the derivative by hand. Arrays have time first.

Backwards, the loop carries `dhidden` and `dcell` only and writes `dz` of every step (see `cell.py`). With X, H, Z the
inputs, the hidden states before each step, and dz, of all steps and sequences of a chunk under one another, each
weight's gradient is one product a chunk instead of a sum over steps:

    dkernel = X.T @ dZ;   drecurrent_kernel = H.T @ dZ;   dbias = sum(dZ);   dX = dZ @ kernel.T

A masked step keeps the state, so that there `dz = 0`, and `dhidden`, `dcell` pass unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.cell import Gates, LSTMParams, Names, cell_backward, cell_forward
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.projection import Matrix, accumulator, project, pull_input, pull_kernel, sum_rows
from multilstm.spec.arrays import State


class Inputs(NamedTuple):
    """What goes through a loop: with time first in a chunk, with the batch first outside.

    Attributes:
        x: `[timesteps, batch, features]`.
        mask: boolean `[timesteps, batch]`, or None.
    """

    x: Any
    mask: Any = None


class Weights(NamedTuple):
    """The weights as the products of many steps take them, or the transposes of their kernels for the way back.

    Attributes:
        kernel: `[features, 4 * units]`, or transposed.
        recurrent_kernel: `[units, 4 * units]`, or transposed.
        bias: `[4 * units]`, or None.
    """

    kernel: Matrix
    recurrent_kernel: Matrix
    bias: Any = None


class Steps(NamedTuple):
    """What the gradient needs of every timestep: `[timesteps, batch, units]` each, the gates as `cell_forward` kept."""

    gates: Gates
    cell: jax.Array


def forward_chunk(
    names: Names, unroll: int, keep: bool, weights: Weights, inputs: Inputs, start: State, dropout: Dropout
) -> tuple[jax.Array, State, Steps | None]:
    """The hidden state after every step `[timesteps, batch, units]`, the last state, and what the gradient needs.

    Args:
        names: the activations.
        unroll: how many steps are written out one after another; their inputs meet the kernel in one product.
        keep: whether to return `Steps`.
        weights: see `weights_forward`.
        inputs: of these steps.
        start: the state before them.
        dropout: see `dropout.py`.
    """

    def receive(inputs: Inputs) -> Inputs:
        z = project(weights.kernel, dropout.inputs, inputs.x)
        return inputs._replace(x=z if weights.bias is None else z + weights.bias)

    def step(before: State, now: Inputs) -> tuple[State, Any]:
        z = now.x + project(weights.recurrent_kernel, dropout.hidden, before.hidden)
        after, gates = cell_forward(names, z, before.cell)
        after = _keep_masked(now.mask, after, before)
        return after, (after.hidden, Steps(gates, after.cell) if keep else None)

    last, (hidden, steps) = _over_steps(unroll, receive, step, start, inputs, False)
    return hidden, last, steps


def backward_chunk(
    names: Names,
    unroll: int,
    weights: Weights,
    transposed: Weights,
    inputs: Inputs,
    start: State,
    hidden: jax.Array | None,
    steps: Steps | None,
    dropout: Dropout,
    dhidden: jax.Array,
    after: State,
) -> tuple[State, LSTMParams, jax.Array]:
    """The derivatives by the state before the chunk, by the weights, and by the inputs.

    Args:
        names: the activations.
        unroll: see `forward_chunk`.
        weights: see `weights_forward`.
        transposed: see `weights_backward`.
        inputs: of these steps.
        start: the state before them.
        hidden: what `forward_chunk` returned, or None: computed again.
        steps: what `forward_chunk` returned, or None: computed again.
        dropout: see `dropout.py`.
        dhidden: the derivative by `hidden`.
        after: the derivatives by the state after the chunk.
    """
    if hidden is None or steps is None:
        hidden, _, steps = forward_chunk(names, unroll, True, weights, inputs, start, dropout)
        assert steps is not None

    def step(after: State, now: Any) -> tuple[State, jax.Array]:
        dhidden, (gates, cell), cell_before, mask = now
        after = State(after.hidden + dhidden, after.cell)
        dz, dcell_before = cell_backward(names, gates, cell_before, cell, after)
        if mask is not None:
            dz = jnp.where(mask[:, None], dz, 0)
        before = State(pull_input(transposed.recurrent_kernel, dropout.hidden, dz), dcell_before)
        return _keep_masked(mask, before, after), dz

    each = (dhidden, steps, _before(start.cell, steps.cell), inputs.mask)
    before, dz = _over_steps(unroll, lambda each: each, step, after, each, True)
    dparams = LSTMParams(
        kernel=pull_kernel(dropout.inputs, inputs.x, dz),
        recurrent_kernel=pull_kernel(dropout.hidden, _before(start.hidden, hidden), dz),
        bias=None if weights.bias is None else sum_rows(dz),
    )
    return before, dparams, pull_input(transposed.kernel, dropout.inputs, dz)


def weights_forward(params: LSTMParams, left: bool) -> Weights:
    """What `forward_chunk` takes; `left` as in `Plan`."""
    return Weights(Matrix(params.kernel), Matrix.of(params.recurrent_kernel, left), params.bias)


def weights_backward(params: LSTMParams, left: bool) -> Weights:
    """The transposes that `backward_chunk` takes: a CPU's products want what they sum over on a matrix's first axis."""
    return Weights(Matrix(params.kernel.T), Matrix.of(params.recurrent_kernel.T, left))


def zero_gradient(params: LSTMParams) -> LSTMParams:
    """Zeros to which the weights' gradients of all chunks are added: in float32 where the weights are in less."""
    return LSTMParams(
        *(None if array is None else jnp.zeros(array.shape, accumulator(array.dtype)) for array in params)
    )


def _over_steps(
    unroll: int,
    prepare: Callable[[Any], Any],
    step: Callable[[Any, Any], Any],
    carry: Any,
    xs: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    """`lax.scan` whose body has `unroll` steps written out, prepared together; a rest of fewer is written out too."""
    if unroll == 1:
        return lax.scan(lambda carry, x: step(carry, prepare(x)), carry, xs, reverse=reverse)  # type: ignore[no-any-return]

    def written_out(carry: Any, xs: Any) -> tuple[Any, Any]:
        xs = prepare(xs)
        length = jax.tree.leaves(xs)[0].shape[0]
        found: list[Any] = [None] * length
        for number in reversed(range(length)) if reverse else range(length):
            carry, found[number] = step(carry, jax.tree.map(lambda array, number=number: array[number], xs))
        return carry, jax.tree.map(lambda *arrays: jnp.stack(arrays), *found)

    length = jax.tree.leaves(xs)[0].shape[0]
    turns, rest = divmod(length, unroll)
    if turns <= 1 and not (turns and rest):
        return written_out(carry, xs)
    many = jax.tree.map(lambda array: array[: length - rest].reshape(turns, unroll, *array.shape[1:]), xs)
    few = jax.tree.map(lambda array: array[length - rest :], xs)
    if reverse and rest:
        carry, end = written_out(carry, few)
    carry, ys = lax.scan(written_out, carry, many, reverse=reverse)
    ys = jax.tree.map(lambda array: array.reshape(turns * unroll, *array.shape[2:]), ys)
    if not rest:
        return carry, ys
    if not reverse:
        carry, end = written_out(carry, few)
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), ys, end)


def _keep_masked(mask: jax.Array | None, after: State, before: State) -> State:
    if mask is None:
        return after
    return State(*(jnp.where(mask[:, None], new, old) for new, old in zip(after, before, strict=True)))


def _before(first: jax.Array, after: jax.Array) -> jax.Array:
    """The value before each step, `[timesteps, batch, units]`, from the first one and those after each step."""
    return jnp.concatenate([first[None], after[:-1]])
