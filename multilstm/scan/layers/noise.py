"""Noise: in training it is given, by the name of the layer; else each layer is the identity."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import AlphaDropout, GaussianDropout, GaussianNoise


@apply.register
def _(layer: GaussianNoise, given: Given) -> jax.Array:
    noise = given.mask(given.input.shape)
    return given.input if noise is None else given.input + noise


@apply.register
def _(layer: GaussianDropout, given: Given) -> jax.Array:
    return given.dropped(given.input.shape)


@apply.register
def _(layer: AlphaDropout, given: Given) -> jax.Array:
    """Saturate where the mask is 0, then scale and shift."""
    mask = given.mask(given.input.shape)
    if mask is None:
        return given.input
    return layer.scale * jnp.where(mask != 0, given.input, layer.SATURATED) + layer.shift
