"""Activations of the spec with their derivatives, accurate to a few units in the last place of float64.

The definitions are Keras's (https://keras.io/api/layers/activations/, with Keras's default arguments).
`hard_sigmoid_keras2` is the hard_sigmoid of Keras 0.3 to 2 (tf-keras 2.21, tf_keras/src/backend.py). None of them
overflows where its result does not. The derivatives are written without the cancellation that `s * (1 - s)` and
`1 - tanh**2` suffer from in saturated gates. At a kink, the derivative is the one from the left (see
rulings.md).
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Mapping
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


def gelu(root: float) -> Function:
    """Return `z` times the probability that a standard normal variable is at most z, `erfc(-z * root) / 2`.

    Args:
        root: the root of 1/2, or that of the fault that rounds it.
    """

    def distribution(z: Array) -> Array:
        result: Array = 0.5 * np.asarray(_erfc(z * -root), np.float64)
        return result

    return _elementwise(
        lambda z: z * distribution(z),
        lambda z, a: distribution(z) + z * root * np.exp(-((z * root) ** 2)) / math.sqrt(math.pi),
    )


def leaky_relu(slope: float) -> Function:
    """Return `z` above 0, and `slope * z` elsewhere."""
    return _elementwise(lambda z: np.where(z > 0, z, slope * z), lambda z, a: np.where(z > 0, 1.0, slope))


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
    "gelu": gelu(math.sqrt(0.5)),
    "leaky_relu": leaky_relu(LEAKY_SLOPE),
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
# The functions that a reference with faults computes in place of those above, during one step.
_faulty: contextvars.ContextVar[Mapping[str, Function]] = contextvars.ContextVar("_faulty", default={})  # noqa: B039


def function_of(name: str) -> Function:
    """Return the activation of a name, that of the faults where `with_functions` set one."""
    return _faulty.get().get(name, FUNCTIONS[name])


@contextlib.contextmanager
def with_functions(functions: Mapping[str, Function]) -> Iterator[None]:
    """Compute with other functions of some names inside the `with` block, besides those of an outer block."""
    token = _faulty.set({**_faulty.get(), **functions})
    try:
        yield
    finally:
        _faulty.reset(token)


def hard_sigmoid(slope: float) -> Function:
    """Return the hard sigmoid with another derivative between -3 and 3 than 1/6."""
    return _elementwise(FUNCTIONS["hard_sigmoid"].forward, lambda z, a: slope * _between(z, -3.0, 3.0))


def softplus(threshold: float) -> Function:
    """Return `log(1 + exp(z))`, and `z` above the threshold."""
    return _elementwise(
        lambda z: np.where(z > threshold, z, _softplus(z)), lambda z, a: np.where(z > threshold, 1.0, sigmoid(z))
    )
