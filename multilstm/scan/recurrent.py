"""Recurrent layers of `ScanModel`: `run` takes one call, and returns the sequence and the last state.

The LSTM is `multilstm.scan.lstm`. GRU and SimpleRNN are plain `lax.scan`, with JAX's own gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.errors import UnsupportedError
from multilstm.scan.activations import ACTIVATIONS
from multilstm.scan.batch import Arrays
from multilstm.scan.cell import LSTMParams
from multilstm.scan.dropout import Dropout
from multilstm.scan.layer import lstm
from multilstm.scan.loops.ragged import mask_of_lengths
from multilstm.scan.loops.split import MeshOption, Split
from multilstm.spec import GRU, LSTM, Graph, SimpleRNN
from multilstm.spec.arrays import AnyState, HiddenState, State
from multilstm.spec.layers import Recurrent


class Sequences(NamedTuple):
    """Arguments of one call of a recurrent layer.

    Attributes:
        weights: its weights by name, without the layer's name.
        x: `[batch, timesteps, features]`.
        state: the initial state, or None for zeros.
        mask: boolean `[batch, timesteps]`, or None.
        lengths: the number of timesteps that count, without a mask; None: all count.
        backwards: whether the last timestep is processed first.
        dropout: the dropout masks.
        cast: returns an array of floats in the dtype of computation.
        custom_gradient: as in `ScanModel`.
        dtype: as in `ScanModel`.
        mesh: as in `ForwardOptions`.
    """

    weights: Arrays
    x: jax.Array
    state: AnyState | None
    mask: jax.Array | None
    lengths: jax.Array | None
    backwards: bool
    dropout: Dropout
    cast: Callable[[jax.Array], jax.Array]
    custom_gradient: bool
    dtype: str | None
    mesh: MeshOption | Split


# step(products of one timestep's inputs, `[batch, units]` for each gate, hidden before) -> hidden
Step = Callable[[list[jax.Array], jax.Array], jax.Array]


@singledispatch
def run(layer: Recurrent, given: Sequences) -> tuple[jax.Array, AnyState]:
    """Return the outputs `[batch, timesteps, units]` in the order of processing, and the last state."""
    raise NotImplementedError(type(layer))


def check_computed(spec: Graph) -> None:
    """Raise UnsupportedError for a recurrent layer of a model that `multilstm.scan` does not compute."""
    for part in spec.recurrent.values():
        if type(part) not in run.registry:
            raise UnsupportedError(f"multilstm.scan: it does not compute {part.label}; leave the engine jax-scan out")
    for layer in spec.layers:
        if layer.inner_model is not None:
            check_computed(layer.inner_model.model)


@run.register
def _(layer: LSTM, given: Sequences) -> tuple[jax.Array, AnyState]:
    params = LSTMParams(given.weights["kernel"], given.weights["recurrent_kernel"], given.weights.get("bias"))
    assert given.state is None or isinstance(given.state, State)
    return lstm(
        params,
        given.x,
        given.state,
        given.mask,
        given.backwards,
        layer.activation,
        layer.recurrent_activation,
        layer.zero_output_for_mask,
        given.custom_gradient,
        lengths=given.lengths,
        dropout=given.dropout,
        dtype=given.dtype,
        unroll=layer.unroll,
        mesh=given.mesh,
    )


@run.register
def _(layer: SimpleRNN, given: Sequences) -> tuple[jax.Array, AnyState]:
    recurrent, drop = given.cast(given.weights["recurrent_kernel"]), given.dropout.hidden
    bias = given.cast(given.weights["bias"]) if layer.use_bias else 0
    activation = ACTIVATIONS[layer.activation]

    def step(products: list[jax.Array], hidden: jax.Array) -> jax.Array:
        (product,) = to_gates(hidden, recurrent, 1, drop)
        return activation(products[0] + product)

    return _scan(layer, given, bias, step)


@run.register
def _(layer: GRU, given: Sequences) -> tuple[jax.Array, AnyState]:
    recurrent, drop = given.cast(given.weights["recurrent_kernel"]), given.dropout.hidden
    bias = given.cast(given.weights["bias"]) if layer.use_bias else jnp.zeros(layer.bias_shape, recurrent.dtype)
    of_inputs, of_products = (bias[0], jnp.split(bias[1], 3)) if layer.reset_after else (bias, [0, 0, 0])
    activation, gate = ACTIVATIONS[layer.activation], ACTIVATIONS[layer.recurrent_activation]
    candidate = recurrent[:, 2 * layer.units :]
    drop_candidate = None if drop is None else drop[2] if drop.ndim == 3 else drop

    def step(products: list[jax.Array], hidden: jax.Array) -> jax.Array:
        x_z, x_r, x_h = products
        h_z, h_r, h_h = to_gates(hidden, recurrent, 3, drop)
        z, r = gate(x_z + h_z + of_products[0]), gate(x_r + h_r + of_products[1])
        if layer.reset_after:
            g = activation(x_h + r * (h_h + of_products[2]))
        else:
            dropped = hidden if drop_candidate is None else hidden * drop_candidate
            g = activation(x_h + (r * dropped) @ candidate)
        return z * hidden + (1 - z) * g

    return _scan(layer, given, of_inputs, step)


def to_gates(x: jax.Array, kernel: jax.Array, gates: int, drop: jax.Array | None) -> list[jax.Array]:
    """Return `x [..., batch, size]` times each gate's part of `kernel [size, gates * units]`.

    Args:
        x: inputs or hidden states.
        kernel: the kernel.
        gates: the number of gates.
        drop: their dropout mask `[batch, size]`, or one for each gate, `[gates, batch, size]`; None: no dropout.
    """
    if drop is None or drop.ndim == 2:
        return jnp.split((x if drop is None else x * drop) @ kernel, gates, axis=-1)
    return [(x * kept) @ part for kept, part in zip(drop, jnp.split(kernel, gates, axis=1), strict=True)]


def _scan(layer: Recurrent, given: Sequences, bias: jax.Array | int, step: Step) -> tuple[jax.Array, HiddenState]:
    """Run the step over all timesteps. A masked timestep keeps the state, and no value of it is read."""
    x, mask = given.x, given.mask
    batch, timesteps, _ = x.shape
    if given.lengths is not None:
        mask = mask_of_lengths(given.lengths, batch, timesteps)
    if given.backwards:
        x, mask = jnp.flip(x, 1), None if mask is None else jnp.flip(mask, 1)
    if mask is not None:
        x = jnp.where(mask[..., None], x, 0)  # 0 * NaN is NaN
    kernel = given.cast(given.weights["kernel"])
    products = to_gates(jnp.swapaxes(given.cast(x), 0, 1), kernel, layer.gate_count, given.dropout.inputs)
    z = [
        product + part
        for product, part in zip(products, jnp.split(jnp.zeros_like(kernel[0]) + bias, layer.gate_count), strict=True)
    ]
    start = jnp.zeros((batch, layer.units), kernel.dtype) if given.state is None else given.cast(given.state.hidden)
    start = start.astype(jnp.result_type(start, kernel, *z))  # the dtype of all later states

    def over_time(hidden: jax.Array, now: tuple[list[jax.Array], jax.Array | None]) -> tuple[jax.Array, jax.Array]:
        after = step(now[0], hidden)
        if now[1] is not None:
            after = jnp.where(now[1][:, None], after, hidden)
        return after, after

    over = (z, None if mask is None else mask.T)
    last, sequence = lax.scan(over_time, start, over, length=timesteps, unroll=max(1, timesteps) if layer.unroll else 1)
    sequence = jnp.swapaxes(sequence, 0, 1)
    if mask is not None:
        shown = mask if layer.zero_output_for_mask else jnp.cumsum(mask, 1) > 0
        sequence = jnp.where(shown[..., None], sequence, 0)
    return sequence, HiddenState(last)
