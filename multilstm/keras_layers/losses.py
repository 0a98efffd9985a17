"""Losses for Keras users that have the same value and gradient on every backend."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


@final
@keras.saving.register_keras_serializable(package="multilstm")
class CategoricalCrossentropy(keras.losses.Loss):
    """Categorical cross-entropy of probabilities, `-sum(y_true * log(y_pred / sum(y_pred)))` over the last axis.

    Probabilities are clipped to `[1e-7, 1 - 1e-7]`. Labels need not sum to one. On TensorFlow Keras's own takes the
    logits behind the last activation instead, if that is a softmax or a sigmoid, with
    `tf.nn.softmax_cross_entropy_with_logits`: its gradient is right only for labels that sum to one (as its
    documentation says), and for a sigmoid it is another loss.

    Args:
        reduction: `"sum_over_batch_size"`, `"sum"`, `"mean"` or None, as in Keras.
        name: the loss's name.
        dtype: the loss's dtype; Keras's floatx where None.
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "categorical_crossentropy", dtype: Any = None
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`[..., classes]` twice to `[...]`."""
        epsilon = keras.config.epsilon()
        probabilities = y_pred / ops.sum(y_pred, axis=-1, keepdims=True)
        return -ops.sum(y_true * ops.log(ops.clip(probabilities, epsilon, 1.0 - epsilon)), axis=-1)
