"""Layers that act on every position by itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.scan.loops.checks import to_int32
from multilstm.scan.loops.dense import dense
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


@apply.register
def _(layer: Embedding, given: Given) -> jax.Array:
    table = given.weights[f"{given.name}/embeddings"]
    return given.cast(jnp.take(table, to_int32(given.input), axis=0))


@apply.register
def _(layer: Masking, given: Given) -> jax.Array:
    x = given.input
    return jnp.where((x != layer.mask_value).any(-1, keepdims=True), x, 0)


@apply.register
def _(layer: Dense, given: Given) -> jax.Array:
    bias = given.weight("bias") if layer.use_bias else None
    return dense(given.weight("kernel"), bias, given.input, str(layer.activation), given.custom_gradient)


@apply.register
def _(layer: Activation, given: Given) -> jax.Array:
    return dense(None, None, given.input, layer.activation, given.custom_gradient)


@apply.register
def _(layer: Dropout, given: Given) -> jax.Array:
    return given.dropped(given.input.shape)


@apply.register
def _(layer: SpatialDropout1D, given: Given) -> jax.Array:
    batch, _, features = given.input.shape
    return given.dropped((batch, 1, features))


@apply.register
def _(layer: SpatialDropout2D, given: Given) -> jax.Array:
    batch, *_, channels = given.input.shape
    return given.dropped((batch, 1, 1, channels))


@apply.register
def _(layer: Rescaling, given: Given) -> jax.Array:
    x = given.input
    return x * jnp.asarray(layer.scale, x.dtype) + jnp.asarray(layer.offset, x.dtype)


@apply.register
def _(layer: ActivityRegularization, given: Given) -> jax.Array:
    return given.input
