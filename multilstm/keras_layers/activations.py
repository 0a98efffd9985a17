"""Activations that compute in the dtype of their tensor on every backend, with Keras's names and formulas.

For each of them, plain Keras differs on some backend: in a constant rounded to float32, far from 0, or in the
derivative at 0. The derivative at 0 is that from the left here. The formulas are those of Keras's documentation
(https://keras.io/api/layers/activations/). `hard_sigmoid_keras2` is the hard_sigmoid of Keras 1 and 2.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

_registered = keras.saving.register_keras_serializable(package="multilstm")


@_registered  # type: ignore[untyped-decorator]
def gelu(x: Any) -> Any:
    """Return `x * (1 + erf(x / sqrt(2))) / 2`."""
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))


@_registered  # type: ignore[untyped-decorator]
def leaky_relu(x: Any) -> Any:
    """Return `x` where it is positive, and `0.2 * x` elsewhere."""
    return ops.where(x > 0, x, 0.2 * x)


@_registered  # type: ignore[untyped-decorator]
def selu(x: Any) -> Any:
    """Return `scale * x` where x is positive, and `scale * alpha * (exp(x) - 1)` elsewhere."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    negative = ops.where(x > 0, ops.zeros_like(x), x)  # its exponential overflows neither here nor in the gradient
    return scale * ops.where(x > 0, x, alpha * ops.expm1(negative))


@_registered  # type: ignore[untyped-decorator]
def hard_sigmoid(x: Any) -> Any:
    """Return `relu6(x + 3) / 6`."""
    return ops.relu6(x + 3.0) / 6.0


@_registered  # type: ignore[untyped-decorator]
def hard_sigmoid_keras2(x: Any) -> Any:
    """Return `clip(0.2 * x + 0.5, 0, 1)`, the hard_sigmoid of Keras 1 and 2, which Keras 3 lacks."""
    middle = 0.2 * x + 0.5
    return ops.where(x <= -2.5, ops.zeros_like(x), ops.where(x >= 2.5, ops.ones_like(x), middle))


@_registered  # type: ignore[untyped-decorator]
def softplus(x: Any) -> Any:
    """Return `log(exp(x) + 1)`, finite for large x too."""
    zeros = ops.zeros_like(x)
    above, below = ops.where(x > 0, x, zeros), ops.where(x > 0, zeros, x)  # TensorFlow's logaddexp has a kink at 0
    return ops.where(x > 0, above + ops.log1p(ops.exp(-above)), ops.log1p(ops.exp(below)))


@_registered  # type: ignore[untyped-decorator]
def mish(x: Any) -> Any:
    """Return `x * tanh(softplus(x))`."""
    return x * ops.tanh(softplus(x))


@_registered  # type: ignore[untyped-decorator]
def hard_silu(x: Any) -> Any:
    """Return `x * relu6(x + 3) / 6`."""
    return x * ops.relu6(x + 3.0) / 6.0
