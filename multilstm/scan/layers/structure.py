"""Layers that only move numbers."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import (
    Cropping1D,
    Flatten,
    GetItem,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)


@apply.register
def _(layer: Flatten, given: Given) -> jax.Array:
    return given.input.reshape(len(given.input), math.prod(given.input.shape[1:]))


@apply.register
def _(layer: Reshape, given: Given) -> jax.Array:
    ((batch, *sizes),) = layer.output_shapes(given.input.shape)
    return given.input.reshape(batch, *sizes)


@apply.register
def _(layer: Permute, given: Given) -> jax.Array:
    return given.input.transpose(0, *layer.dims)


@apply.register
def _(layer: RepeatVector, given: Given) -> jax.Array:
    return jnp.repeat(given.input[:, None], layer.n, axis=1)


@apply.register
def _(layer: ZeroPadding1D, given: Given) -> jax.Array:
    return jnp.pad(given.input, ((0, 0), layer.padding, (0, 0)))


@apply.register
def _(layer: Cropping1D, given: Given) -> jax.Array:
    start, end = layer.cropping
    return given.input[:, start : given.input.shape[1] - end]


@apply.register
def _(layer: UpSampling1D, given: Given) -> jax.Array:
    return jnp.repeat(given.input, layer.size, axis=1)


@apply.register
def _(layer: ZeroPadding2D, given: Given) -> jax.Array:
    return jnp.pad(given.input, ((0, 0), *layer.padding, (0, 0)))


@apply.register
def _(layer: GetItem, given: Given) -> jax.Array:
    return given.input[layer.index]
