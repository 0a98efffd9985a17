"""Activations of the spec with their derivatives, accurate to a few units in the last place of float64.

The definitions are Keras's (https://keras.io/api/layers/activations/, with Keras's default arguments).
`hard_sigmoid_keras2` is the hard_sigmoid of Keras 0.3 to 2 (tf-keras 2.21, tf_keras/src/backend.py). None of them
overflows where its result does not. The derivatives are written without the cancellation that `s * (1 - s)` and
`1 - tanh**2` suffer from in saturated gates. At a kink, the derivative is the one from the left (see
rulings.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from multilstm.spec.arrays import Array

SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
SELU_SCALE = 1.0507009873554804934193349852946
LEAKY_SLOPE = 0.2  # keras.activations.leaky_relu; torch and JAX default to 0.01
_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has no error function; C's is good to the last place


class Function(NamedTuple):
    """An activation `a = forward(z)` and its reverse step `dz = pullback(z, a, da)`; all of one shape."""

    forward: Callable[[Array], Array]
    pullback: Callable[[Array, Array, Array], Array]


def sigmoid(z: Array) -> Array:
    """Return `1 / (1 + exp(-z))`, by the exponential of `-|z|`, which cannot overflow."""
    e: Array = np.exp(-np.abs(z))
    result: Array = np.where(z >= 0, 1.0, e) / (1.0 + e)
    return result


def _sigmoid_slope(z: Array) -> Array:
    """Return `sigmoid(z) * sigmoid(-z)`, the derivative of the sigmoid."""
    e: Array = np.exp(-np.abs(z))
    result: Array = e / (1.0 + e) ** 2
    return result


def _normal_distribution(z: Array) -> Array:
    """Return the probability that a standard normal variable is at most z: `erfc(-z / sqrt(2)) / 2`."""
    result: Array = 0.5 * np.asarray(_erfc(z * -math.sqrt(0.5)), np.float64)
    return result


def _normal_density(z: Array) -> Array:
    result: Array = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return result


def _elu(z: Array) -> Array:
    result: Array = np.where(z > 0, z, np.expm1(np.minimum(z, 0.0)))
    return result


def _elu_slope(z: Array) -> Array:
    result: Array = np.exp(np.minimum(z, 0.0))
    return result


def _between(z: Array, low: float, high: float) -> Array:
    result: Array = ((z > low) & (z < high)).astype(np.float64)
    return result


def _softmax(z: Array) -> Array:
    e: Array = np.exp(z - z.max(axis=-1, keepdims=True))
    result: Array = e / e.sum(axis=-1, keepdims=True)
    return result


def _softmax_pullback(z: Array, a: Array, da: Array) -> Array:
    """Return dz with `dz_j = sum_k da_k * a_k * (delta_jk - a_j)`."""
    result: Array = a * (da - (da * a).sum(axis=-1, keepdims=True))
    return result


def _softplus(z: Array) -> Array:
    result: Array = np.logaddexp(0.0, z)
    return result


def _mish_slope(z: Array, a: Array) -> Array:
    """Return the derivative of `z * tanh(softplus(z))`; that of tanh is `4 * sigmoid_slope(2 * softplus(z))`."""
    inner = _softplus(z)
    result: Array = np.tanh(inner) + z * 4.0 * _sigmoid_slope(2.0 * inner) * sigmoid(z)
    return result


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _elementwise(forward: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Function:
    """Return a function of each element alone; `slope(z, a)` is its derivative."""
    return Function(forward, lambda z, a, da: da * slope(z, a))


FUNCTIONS: dict[str, Function] = {
    "linear": Function(lambda z: z, lambda z, a, da: da),
    "tanh": _elementwise(np.tanh, lambda z, a: 4.0 * _sigmoid_slope(2.0 * z)),
    "sigmoid": _elementwise(sigmoid, lambda z, a: _sigmoid_slope(z)),
    "relu": _elementwise(lambda z: np.maximum(z, 0.0), lambda z, a: (z > 0).astype(np.float64)),
    "softmax": Function(_softmax, _softmax_pullback),
    "hard_sigmoid": _elementwise(lambda z: np.clip(z + 3.0, 0.0, 6.0) / 6.0, lambda z, a: _between(z, -3.0, 3.0) / 6.0),
    "elu": _elementwise(_elu, lambda z, a: _elu_slope(z)),
    "selu": _elementwise(
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * _elu(z)),
        lambda z, a: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * _elu_slope(z)),
    ),
    "softplus": _elementwise(_softplus, lambda z, a: sigmoid(z)),
    "softsign": _elementwise(lambda z: z / (1.0 + np.abs(z)), lambda z, a: 1.0 / (1.0 + np.abs(z)) ** 2),
    "exponential": _elementwise(np.exp, lambda z, a: a),
    "silu": _elementwise(lambda z: z * sigmoid(z), lambda z, a: sigmoid(z) + z * _sigmoid_slope(z)),
    "gelu": _elementwise(
        lambda z: z * _normal_distribution(z), lambda z, a: _normal_distribution(z) + z * _normal_density(z)
    ),
    "leaky_relu": _elementwise(
        lambda z: np.where(z > 0, z, LEAKY_SLOPE * z), lambda z, a: np.where(z > 0, 1.0, LEAKY_SLOPE)
    ),
    "hard_sigmoid_keras2": _elementwise(
        lambda z: np.clip(0.2 * z + 0.5, 0.0, 1.0), lambda z, a: 0.2 * _between(z, -2.5, 2.5)
    ),
    "relu6": _elementwise(lambda z: np.clip(z, 0.0, 6.0), lambda z, a: _between(z, 0.0, 6.0)),
    "mish": _elementwise(lambda z: z * np.tanh(_softplus(z)), _mish_slope),
    "hard_silu": _elementwise(
        lambda z: z * np.clip(z + 3.0, 0.0, 6.0) / 6.0,
        lambda z, a: (np.clip(z + 3.0, 0.0, 6.0) + z * _between(z, -3.0, 3.0)) / 6.0,
    ),
    "log_softmax": Function(_log_softmax, lambda z, a, da: da - _softmax(z) * da.sum(axis=-1, keepdims=True)),
}
