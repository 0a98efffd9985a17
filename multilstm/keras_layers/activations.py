"""Activations that are computed in the dtype of their tensor on every backend, by Keras's names and formulas.

Plain Keras rounds a constant of these to float32 on some backend, or goes another way far from 0. The formulas are
those of Keras's documentation (https://keras.io/api/layers/activations/).
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

_registered = keras.saving.register_keras_serializable(package="multilstm")


@_registered  # type: ignore[untyped-decorator]
def gelu(x: Any) -> Any:
    """`x * (1 + erf(x / sqrt(2))) / 2`."""
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))


@_registered  # type: ignore[untyped-decorator]
def leaky_relu(x: Any) -> Any:
    """`x` where it is positive, and else `0.2 * x`."""
    return ops.where(x > 0, x, 0.2 * x)


@_registered  # type: ignore[untyped-decorator]
def hard_sigmoid(x: Any) -> Any:
    """`relu6(x + 3) / 6`."""
    return ops.relu6(x + 3.0) / 6.0


@_registered  # type: ignore[untyped-decorator]
def softplus(x: Any) -> Any:
    """`log(exp(x) + 1)`, for large x too."""
    return ops.logaddexp(x, ops.zeros_like(x))
