"""Normalizations, computed at least in float32, as in Keras."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import BatchNormalization, LayerNormalization, Normalization, UnitNormalization
from multilstm.spec.optimizers import EPSILON


@apply.register
def _(layer: LayerNormalization, given: Given) -> jax.Array:
    x = _at_least_float32(given.input)
    axes = layer.axes(x.shape)
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    return _scaled(layer, given, (x - mean) * jax.lax.rsqrt(variance + layer.epsilon), axes)


@apply.register
def _(layer: BatchNormalization, given: Given) -> jax.Array:
    """Normalize by the moving statistics; in training by the batch, whose statistics move them."""
    x = _at_least_float32(given.input)
    moving = [given.weights[f"{given.name}/{name}"] for name in layer.statistics]
    mean, variance = moving
    if given.training and layer.trainable:
        mean, variance = _moments(x, given.masks[0])
        for name, old, new in zip(layer.statistics, moving, (mean, variance), strict=True):
            kept = old * layer.momentum + new * (1.0 - layer.momentum)
            given.statistics[f"{given.name}/{name}"] = jax.lax.stop_gradient(kept)
    return _scaled(layer, given, (x - mean) * jax.lax.rsqrt(variance + layer.epsilon), (x.ndim - 1,))


def _at_least_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, "float32"))


def _moments(x: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Return mean and variance of each feature, over the timesteps that the mask keeps."""
    axes = tuple(range(x.ndim - 1))
    if not x.size:  # an empty batch has moments of zero
        return jnp.zeros(x.shape[-1:], x.dtype), jnp.zeros(x.shape[-1:], x.dtype)
    if mask is None:
        mean = x.mean(axes)
        return mean, ((x - mean) ** 2).mean(axes)
    keep = mask[..., None]
    count = keep.sum(axes).astype(x.dtype) + EPSILON
    mean = jnp.where(keep, x, 0).sum(axes) / count
    return mean, jnp.where(keep, (x - mean) ** 2, 0).sum(axes) / count


def _scaled(
    layer: LayerNormalization | BatchNormalization, given: Given, x: jax.Array, axes: tuple[int, ...]
) -> jax.Array:
    """Return `gamma * x + beta`, with weights along `axes`."""
    sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    if layer.scale:
        x = x * given.weights[f"{given.name}/gamma"].reshape(sizes)
    if layer.center:
        x = x + given.weights[f"{given.name}/beta"].reshape(sizes)
    return given.cast(x)


@apply.register
def _(layer: UnitNormalization, given: Given) -> jax.Array:
    x = given.input
    squares = (x * x).sum(layer.axes(x.shape), keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))


@apply.register
def _(layer: Normalization, given: Given) -> jax.Array:
    x = given.input
    mean, variance = (jnp.asarray(array, x.dtype) for array in layer.moments(x.shape, given.weight))
    deviation = jnp.maximum(jnp.sqrt(variance), EPSILON)
    return x * deviation + mean if layer.invert else (x - mean) / deviation
