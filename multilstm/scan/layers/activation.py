"""Activations with arguments. At a kink, the derivative is the one from the left."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import ELU, LeakyReLU, PReLU, ReLU, Softmax


@apply.register
def _(layer: ReLU, given: Given) -> jax.Array:
    x = given.input
    above = x if layer.max_value is None else jnp.where(x < layer.max_value, x, layer.max_value)
    return jnp.where(x > layer.threshold, above, layer.negative_slope * (x - layer.threshold))


@apply.register
def _(layer: LeakyReLU, given: Given) -> jax.Array:
    x = given.input
    return jnp.where(x > 0, x, layer.negative_slope * x)


@apply.register
def _(layer: ELU, given: Given) -> jax.Array:
    return jax.nn.elu(given.input, layer.alpha)


@apply.register
def _(layer: Softmax, given: Given) -> jax.Array:
    return jax.nn.softmax(given.input, layer.axis)


@apply.register
def _(layer: PReLU, given: Given) -> jax.Array:
    return jax.nn.relu(given.input) - given.weight("alpha") * jax.nn.relu(-given.input)
