"""Regularizers for Keras users that have the same value and gradient on every backend.

Factors are Python floats, which every backend converts to the weight's dtype. The derivative of |x| at 0 is 0 on every
backend; a constraint such as NonNeg sets weights to 0.
"""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


def _absolute(x: Any) -> Any:
    """Return `|x|` with the derivative 0 at 0; JAX's own is 1."""
    return x * ops.sign(x)


@final
@keras.saving.register_keras_serializable(package="multilstm")
class L1(keras.regularizers.L1):  # type: ignore[misc]
    """Keras's L1, `l1 * sum(|x|)`, with a factor that JSON keeps as it was given."""

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(l1)
        self.l1 = 0.01 if l1 is None else float(l1)

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a weight, as `keras.regularizers.L1` does."""
        return self.l1 * ops.sum(_absolute(x))


@final
@keras.saving.register_keras_serializable(package="multilstm")
class L2(keras.regularizers.L2):  # type: ignore[misc]
    """Keras's L2, `l2 * sum(x**2)`."""

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a weight, as `keras.regularizers.L2` does."""
        return self.l2 * ops.sum(ops.square(x))


@final
@keras.saving.register_keras_serializable(package="multilstm")
class L1L2(keras.regularizers.L1L2):  # type: ignore[misc]
    """Keras's L1L2, `l1 * sum(|x|) + l2 * sum(x**2)`."""

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a weight, as `keras.regularizers.L1L2` does."""
        return self.l1 * ops.sum(_absolute(x)) + self.l2 * ops.sum(ops.square(x))


@final
@keras.saving.register_keras_serializable(package="multilstm")
class OrthogonalRegularizer(keras.regularizers.OrthogonalRegularizer):  # type: ignore[misc]
    """Keras's OrthogonalRegularizer: `factor` times the mean of |cos| over all pairs of rows (or columns)."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        super().__init__(factor, mode)
        self.factor = float(factor)

    def __call__(self, inputs: Any) -> Any:
        """Return the penalty of a weight, as `keras.regularizers.OrthogonalRegularizer` does."""
        if len(inputs.shape) != 2:
            raise ValueError(f"OrthogonalRegularizer: expected a weight of two axes, given shape {tuple(inputs.shape)}")
        unit = ops.normalize(inputs if self.mode == "rows" else ops.transpose(inputs), axis=1)
        size = unit.shape[0]
        others = ops.matmul(unit, ops.transpose(unit)) * (1.0 - ops.eye(size, dtype=unit.dtype))
        return self.factor * ops.sum(_absolute(others)) / (size * (size - 1))
