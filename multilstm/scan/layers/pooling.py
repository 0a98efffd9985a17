"""Pooling over windows, and over all timesteps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)


@apply.register(MaxPooling1D)
@apply.register(MaxPooling2D)
def _(layer: MaxPooling1D | MaxPooling2D, given: Given) -> jax.Array:
    window, strides = (1, *layer.pool_size, 1), (1, *layer.strides, 1)
    return lax.reduce_window(given.input, -jnp.inf, lax.max, window, strides, layer.padding.upper())


@apply.register(AveragePooling1D)
@apply.register(AveragePooling2D)
def _(layer: AveragePooling1D | AveragePooling2D, given: Given) -> jax.Array:
    """Return the mean of the elements of each window that are no padding."""

    def total(array: jax.Array) -> jax.Array:
        window, strides = (1, *layer.pool_size, 1), (1, *layer.strides, 1)
        return lax.reduce_window(array, 0.0, lax.add, window, strides, layer.padding.upper())

    return total(given.input) / total(jnp.ones_like(given.input))


@apply.register(GlobalAveragePooling1D)
@apply.register(GlobalAveragePooling2D)
def _(layer: GlobalAveragePooling1D | GlobalAveragePooling2D, given: Given) -> jax.Array:
    """Return the mean over the timesteps that the mask keeps; 0 if it keeps none."""
    x, mask = given.input, given.masks[0]
    if mask is None or x.ndim > 3:
        return x.mean(tuple(range(1, x.ndim - 1)), keepdims=layer.keepdims)
    keep = mask[..., None]
    count = jnp.maximum(keep.sum(1, keepdims=layer.keepdims), 1).astype(x.dtype)
    return jnp.where(keep, x, 0).sum(1, keepdims=layer.keepdims) / count


@apply.register(GlobalMaxPooling1D)
@apply.register(GlobalMaxPooling2D)
def _(layer: GlobalMaxPooling1D | GlobalMaxPooling2D, given: Given) -> jax.Array:
    return given.input.max(tuple(range(1, given.input.ndim - 1)), keepdims=layer.keepdims)
