"""Layers that merge several tensors."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from multilstm.spec.optimizers import EPSILON


@apply.register
def _(layer: Add, given: Given) -> jax.Array:
    return functools.reduce(operator.add, given.inputs)


@apply.register
def _(layer: Subtract, given: Given) -> jax.Array:
    return given.inputs[0] - given.inputs[1]


@apply.register
def _(layer: Average, given: Given) -> jax.Array:
    return functools.reduce(operator.add, given.inputs) / len(given.inputs)


@apply.register
def _(layer: Multiply, given: Given) -> jax.Array:
    """Multiply all inputs, a masked timestep taken as 1; the product is 0 where every input is masked."""
    pairs = list(zip(given.inputs, given.masks, strict=True))
    factors = [x if mask is None else jnp.where(mask[..., None], x, 1) for x, mask in pairs]
    product = functools.reduce(operator.mul, factors)
    masks = [mask for mask in given.masks if mask is not None]
    if len(masks) < len(factors):
        return product
    return jnp.where(functools.reduce(operator.or_, masks)[..., None], product, 0)


@apply.register
def _(layer: Maximum, given: Given) -> jax.Array:
    return _extreme(given, jnp.maximum)


@apply.register
def _(layer: Minimum, given: Given) -> jax.Array:
    return _extreme(given, jnp.minimum)


def _extreme(given: Given, merge: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    """Merge the inputs one by one; where exactly one of two is masked, the other is taken."""
    (output, *others), (keep, *masks) = given.inputs, given.masks
    for x, mask in zip(others, masks, strict=True):
        if mask is not None:
            x = jnp.where(mask[..., None], x, output)
        if keep is not None:
            output = jnp.where(keep[..., None], output, x)
        keep = None if keep is None or mask is None else keep | mask
        output = merge(output, x)
    return output


@apply.register
def _(layer: Concatenate, given: Given) -> jax.Array:
    return jnp.concatenate(given.inputs, layer.axis)


@apply.register
def _(layer: Dot, given: Given) -> jax.Array:
    """Multiply `[batch, any, summed]` by `[batch, summed, any]`, into which the inputs are brought."""
    axes = layer.axes_of(given.inputs[0].shape, given.inputs[1].shape)
    tensors = [_unit(x, axis) if layer.normalize else x for x, axis in zip(given.inputs, axes, strict=True)]
    first, other = jnp.moveaxis(tensors[0], axes[0], -1), jnp.moveaxis(tensors[1], axes[1], 1)
    rows = first.reshape(len(first), math.prod(first.shape[1:-1]), first.shape[-1])
    columns = other.reshape(*other.shape[:2], math.prod(other.shape[2:]))
    return (rows @ columns).reshape(len(first), *(first.shape[1:-1] + other.shape[2:] or (1,)))


def _unit(x: jax.Array, axis: int) -> jax.Array:
    """Return an array divided by its length along an axis, which counts as at least 1e-7."""
    return x * jax.lax.rsqrt(jnp.maximum((x * x).sum(axis, keepdims=True), EPSILON**2))
