"""The activations of Keras 3 as JAX functions, and the derivatives of those that an LSTM uses most.

Every function keeps the dtype of its argument. The definitions are those of Keras 3.15.1
(keras/src/activations/activations.py). `gelu` is the exact one (erf), `leaky_relu` has slope 0.2, and `hard_sigmoid` is
`relu6(x + 3) / 6`; that of Keras 1 and 2 is named `hard_sigmoid_keras2`. `softmax` runs over the last axis; inside an
LSTM this axis is the units of one gate.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from multilstm.errors import InputError, choice

Function = Callable[[jax.Array], jax.Array]


def _linear(x: jax.Array) -> jax.Array:
    return x


def _hard_sigmoid_keras2(x: jax.Array) -> jax.Array:
    """Return `clip(0.2 * x + 0.5, 0, 1)`, whose derivative is 0 at both ends, unlike that of `jnp.clip`."""
    return jnp.where(x <= -2.5, 0.0, jnp.where(x >= 2.5, 1.0, 0.2 * x + 0.5))


ACTIVATIONS: dict[str, Function] = {
    "linear": _linear,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "softmax": jax.nn.softmax,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "exponential": jnp.exp,
    "silu": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "leaky_relu": functools.partial(jax.nn.leaky_relu, negative_slope=0.2),
    "relu6": jax.nn.relu6,
    "hard_sigmoid_keras2": _hard_sigmoid_keras2,
    "mish": jax.nn.mish,
    "hard_silu": jax.nn.hard_silu,
    "log_softmax": jax.nn.log_softmax,
}

OVER_UNITS = {"softmax", "log_softmax"}  # a unit's value depends on the others

# The slope as a function of the activation's own output: the gradient needs only the output.
_SLOPES: dict[str, Function] = {
    "linear": jnp.ones_like,
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
}


def activate(name: str, x: jax.Array) -> jax.Array:
    """Return Keras's activation of that name at `x`.

    Args:
        name: one of `ACTIVATIONS`.
        x: an array of any shape; `softmax` runs over its last axis.

    Raises:
        InputError: for an unknown name.
    """
    return check_activation("activation", name)(x)


def check_activation(argument: str, name: str) -> Function:
    """Return the function of that name; errors name `argument`.

    Raises:
        InputError: for an unknown name.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise InputError(choice(argument, name, ACTIVATIONS))
    return ACTIVATIONS[name]


def activate_and_keep(name: str, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the activation at `x`, and the array for `pullback`: the output if the slope follows from it, else `x`."""
    y = ACTIVATIONS[name](x)
    return y, (y if name in _SLOPES else x)


def pullback(name: str, kept: jax.Array) -> tuple[jax.Array, Function]:
    """Return the activation's output again, and the product of a cotangent with its derivative.

    Args:
        name: one of `ACTIVATIONS`.
        kept: the second result of `activate_and_keep`.

    Returns:
        The output `y`, and the function from `dL/dy` to `dL/dx`.
    """
    if name in _SLOPES:
        slope = _SLOPES[name](kept)
        return kept, lambda cotangent: cotangent * slope
    y, pull = jax.vjp(ACTIVATIONS[name], kept)
    return y, lambda cotangent: pull(cotangent)[0]
