"""Layers of the reference that act on every position by itself: Embedding, Masking, Dense, Activation, dropout."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.activations import Function, function_of
from multilstm.engines.reference.faults import TOKENS_ARE_SQUARED_APART, bias_sum
from multilstm.engines.reference.layers.base import (
    Applied,
    Given,
    Gradients,
    Maybe,
    apply,
    mapped,
    present,
    reached_rows,
)
from multilstm.engines.reference.row_gradient import RowGradient
from multilstm.errors import InputError
from multilstm.spec import (
    Activation,
    ActivityRegularization,
    Dense,
    Dropout,
    Embedding,
    Masking,
    Rescaling,
    SpatialDropout1D,
    SpatialDropout2D,
)
from multilstm.spec.arrays import Array


@apply.register
def _(layer: Embedding, given: Given) -> Applied:
    """Map tokens `[batch, timesteps]` to rows of `embeddings [input_dim, output_dim]`."""
    tokens = given.inputs[0].astype(np.int64)
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < layer.input_dim):
        raise InputError(
            f"Embedding {layer.name!r}: tokens must be from 0 to {layer.input_dim - 1}; "
            f"given {tokens.min()} to {tokens.max()}"
        )

    def backward(gradients: list[Maybe]) -> Gradients:
        d_output = present(gradients[0])
        rows = RowGradient(tokens.ravel(), d_output.reshape(-1, layer.output_dim), layer.input_dim)
        apart = TOKENS_ARE_SQUARED_APART in given.faults
        return Gradients([None], {"embeddings": rows if apart else np.asarray(rows)})

    return Applied([given.weights["embeddings"][tokens]], backward)


@apply.register
def _(layer: Masking, given: Given) -> Applied:
    """Set timesteps to zero whose features `[batch, timesteps, :]` all equal mask_value."""
    keep = (given.inputs[0] != layer.mask_value).any(axis=-1, keepdims=True)
    return mapped(np.where(keep, given.inputs[0], 0.0), lambda d: np.where(keep, d, 0.0))


@apply.register
def _(layer: Dense, given: Given) -> Applied:
    """Compute `activation(x @ kernel + bias)`, `x [..., features]`."""
    x, kernel = given.inputs[0], given.weights["kernel"]
    z = x @ kernel
    if layer.use_bias:
        z = z + given.weights["bias"]
    function = function_of(str(layer.activation))
    output = function.forward(z)

    def backward(gradients: list[Maybe]) -> Gradients:
        reached, d_z = pull(function, z, output, present(gradients[0]))
        flat, rows = d_z.reshape(-1, layer.units), np.where(reached, x, 0.0).reshape(-1, x.shape[-1])
        d_weights = {"kernel": rows.T @ flat}
        if layer.use_bias:
            d_weights["bias"] = bias_sum(given.faults)(flat[None])
        return Gradients([d_z @ kernel.T], d_weights)

    return Applied([output], backward)


def pull(function: Function, z: Array, output: Array, d_output: Array) -> tuple[Array, Array]:
    """Return the rows of the last axis that a gradient reaches, `[..., 1]`, and the gradient of z, else zero."""
    reached = reached_rows(d_output)
    return reached, np.where(reached, function.pullback(z, output, d_output), 0.0)


@apply.register
def _(layer: Activation, given: Given) -> Applied:
    z, function = given.inputs[0], function_of(layer.activation)
    output = function.forward(z)
    return mapped(output, lambda d: pull(function, z, output, d)[1])


@apply.register(Dropout)
@apply.register(SpatialDropout1D)
@apply.register(SpatialDropout2D)
def _(layer: Dropout | SpatialDropout1D | SpatialDropout2D, given: Given) -> Applied:
    factor = given.dropout.get(str(layer.name))
    if factor is None:
        return mapped(given.inputs[0], lambda d: d)
    return mapped(given.inputs[0] * factor, lambda d: d * factor)


@apply.register
def _(layer: Rescaling, given: Given) -> Applied:
    scale = np.asarray(layer.scale)
    return mapped(given.inputs[0] * scale + np.asarray(layer.offset), lambda d: d * scale)


@apply.register
def _(layer: ActivityRegularization, given: Given) -> Applied:
    return mapped(given.inputs[0], lambda d: d)
