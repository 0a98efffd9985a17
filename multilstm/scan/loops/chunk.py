"""A chunk: some timesteps together, forward and backward, with the derivative by hand. Arrays have time first.

The backward loop carries only `dhidden` and `dcell`, and writes `dz` of every timestep (see `cell.py`).
Let X, H and Z be the inputs, the hidden states before each timestep, and z, of all timesteps of a chunk.
Their rows are timesteps and sequences. Then each weight's gradient is one product a chunk, and no sum over timesteps:

    dkernel = X.T @ dZ;   drecurrent_kernel = H.T @ dZ;   dbias = sum(dZ);   dX = dZ @ kernel.T

A masked timestep keeps the state. There `dz = 0`, and `dhidden` and `dcell` pass unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.cell import Gates, LSTMParams, Names, cell_backward, cell_forward
from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.plan import Layout
from multilstm.scan.loops.problem import Problem
from multilstm.scan.loops.projection import Matrix, accumulator, add_bias, project, pull_input, pull_kernel, sum_rows
from multilstm.spec.arrays import State


class Inputs(NamedTuple):
    """The inputs of the timesteps of one chunk.

    Attributes:
        x: `[timesteps, batch, features]`.
        mask: boolean `[timesteps, batch]`, or None.
    """

    x: Any
    mask: Any = None


class Weights(NamedTuple):
    """The weights in the form that the products of many timesteps take.

    Attributes:
        kernel: `[features, 4 * units]`.
        recurrent_kernel: `[units, 4 * units]`.
        bias: `[4 * units]`, or None.
        dropout: the factors of the rows that meet the two kernels.
    """

    kernel: Matrix
    recurrent_kernel: Matrix
    bias: Any
    dropout: Dropout


class Transposes(NamedTuple):
    """The transposed kernels of the backward pass: a CPU's products want to sum over a matrix's first axis.

    Attributes:
        kernel: `[4 * units, features]`.
        recurrent_kernel: `[4 * units, units]`.
    """

    kernel: Matrix
    recurrent_kernel: Matrix


class Steps(NamedTuple):
    """The values of every timestep that the gradient needs: `[timesteps, batch, units]` each.

    Attributes:
        gates: the values that `cell_forward` kept.
        cell: the cell state after each timestep.
    """

    gates: Gates
    cell: jax.Array


class Kept(NamedTuple):
    """The values of one chunk that the forward pass keeps for its gradient.

    Attributes:
        start: the state before the chunk.
        hidden: the hidden state after every timestep, or None: computed again.
        steps: as `forward_chunk` returned them, or None: computed again.
    """

    start: State
    hidden: jax.Array | None
    steps: Steps | None


def forward_chunk(
    names: Names, layout: Layout, keep: bool, weights: Weights, inputs: Inputs, start: State
) -> tuple[jax.Array, State, Steps | None]:
    """Return the hidden state after every timestep `[timesteps, batch, units]`, the last state, and `Steps` or None.

    Args:
        names: the activations.
        layout: of the loop; its chunk is that of the inputs.
        keep: whether to return `Steps`.
        weights: as `weights_forward` returns them.
        inputs: of these timesteps.
        start: the state before them.
    """
    dropout = weights.dropout

    def receive(inputs: Inputs) -> Inputs:
        z = project(weights.kernel, dropout.inputs, inputs.x)
        return inputs._replace(x=add_bias(z, weights.bias))

    def step(before: State, now: Inputs) -> tuple[State, Any]:
        z = now.x + project(weights.recurrent_kernel, dropout.hidden, before.hidden)
        after, gates = cell_forward(names, z, before.cell)
        after = _keep_masked(now.mask, after, before)
        return after, (after.hidden, Steps(gates, after.cell) if keep else None)

    prepare: Callable[[Any], Any] = receive
    if layout.hoisted:
        inputs, prepare = receive(inputs), _unchanged
    last, (hidden, steps) = _over_steps(layout.unroll, prepare, step, start, inputs, False)
    return hidden, last, steps


def backward_chunk(
    names: Names,
    layout: Layout,
    weights: Weights,
    transposes: Transposes,
    inputs: Inputs,
    kept: Kept,
    dhidden: jax.Array,
    after: State,
) -> tuple[State, LSTMParams, jax.Array]:
    """Return the derivatives by the state before the chunk, by the weights, and by the inputs.

    Args:
        names: the activations.
        layout: see `forward_chunk`.
        weights: as `weights_forward` returns them.
        transposes: as `weights_backward` returns them.
        inputs: of these timesteps.
        kept: of the forward pass.
        dhidden: the derivative by the hidden state after every timestep.
        after: the derivatives by the state after the chunk.
    """
    start, hidden, steps = kept
    dropout = weights.dropout
    if hidden is None or steps is None:
        hidden, _, steps = forward_chunk(names, layout, True, weights, inputs, start)
        assert steps is not None

    def step(after: State, now: Any) -> tuple[State, jax.Array]:
        dhidden, (gates, cell), cell_before, mask = now
        after = State(after.hidden + dhidden, after.cell)
        dz, dcell_before = cell_backward(names, gates, cell_before, cell, after)
        if mask is not None:
            dz = jnp.where(mask[:, None], dz, 0)
        before = State(pull_input(transposes.recurrent_kernel, dropout.hidden, dz), dcell_before)
        return _keep_masked(mask, before, after), dz

    xs = (dhidden, steps, _before(start.cell, steps.cell), inputs.mask)
    before, dz = _over_steps(layout.unroll, _unchanged, step, after, xs, True)
    dparams = LSTMParams(
        kernel=pull_kernel(dropout.inputs, inputs.x, dz),
        recurrent_kernel=pull_kernel(dropout.hidden, _before(start.hidden, hidden), dz),
        bias=None if weights.bias is None else sum_rows(dz),
    )
    return before, dparams, pull_input(transposes.kernel, dropout.inputs, dz)


def weights_forward(problem: Problem, left: bool) -> Weights:
    """Return the weights of `forward_chunk`; `left` as in `Layout`."""
    kernel, recurrent_kernel, bias = problem.params
    return Weights(Matrix(kernel), Matrix.of(recurrent_kernel, left), bias, problem.dropout)


def weights_backward(params: LSTMParams, left: bool) -> Transposes:
    """Return the transposes of `backward_chunk`; `left` as `left_backward` in `Plan`."""
    return Transposes(Matrix(params.kernel.T), Matrix.of(params.recurrent_kernel.T, left))


def zero_gradient(params: LSTMParams) -> LSTMParams:
    """Return the zeros to which all chunks add their weights' gradients: in float32 for weights of half precision."""
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
    """Run `lax.scan` with a body of `unroll` timesteps, prepared together; write out a rest of fewer too."""
    if unroll == 1:
        return lax.scan(lambda carry, x: step(carry, prepare(x)), carry, xs, reverse=reverse)  # type: ignore[no-any-return]

    def written_out(carry: Any, xs: Any) -> tuple[Any, Any]:
        xs = prepare(xs)
        length = jax.tree.leaves(xs)[0].shape[0]
        ys: list[Any] = [None] * length
        for number in reversed(range(length)) if reverse else range(length):
            carry, ys[number] = step(carry, jax.tree.map(lambda array, number=number: array[number], xs))
        return carry, jax.tree.map(lambda *arrays: jnp.stack(arrays), *ys)

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


def _unchanged(xs: Any) -> Any:
    return xs


def _keep_masked(mask: jax.Array | None, after: State, before: State) -> State:
    if mask is None:
        return after
    return State(*(jnp.where(mask[:, None], new, old) for new, old in zip(after, before, strict=True)))


def _before(first: jax.Array, after: jax.Array) -> jax.Array:
    """Return the value before each timestep, `[timesteps, batch, units]`, from the first one and those after each."""
    return jnp.concatenate([first[None], after[:-1]])
