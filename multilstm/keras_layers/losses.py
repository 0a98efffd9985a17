"""Losses for Keras users that have the same value and gradient on every backend."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


@final
@keras.saving.register_keras_serializable(package="multilstm")
class CategoricalCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Categorical cross-entropy of probabilities, `-sum(y_true * log(y_pred / sum(y_pred)))` over the classes.

    Probabilities are clipped to `[1e-7, 1 - 1e-7]`. Labels need not sum to one.

    Keras's own loss on TensorFlow takes the logits of a last softmax or sigmoid instead of the probabilities, and calls
    `tf.nn.softmax_cross_entropy_with_logits`. Its gradient is right only for labels that sum to one, as its
    documentation states. For a sigmoid it is another loss.

    Args:
        from_logits: whether `y_pred` holds logits; then `-sum(y_true * log_softmax(y_pred))`, without clipping.
        label_smoothing: the number s; labels become `(1 - s) * y_true + s / classes`.
        axis: the axis of the classes.
        reduction: `"sum_over_batch_size"`, `"sum"`, `"mean"`, `"mean_with_sample_weight"` or None, as in Keras.
        name: the loss's name.
        dtype: the loss's dtype; Keras's floatx where None.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row: the shape of the arguments without the axis of the classes.

        Raises:
            ValueError: for two arrays whose known shapes differ.
        """
        pairs = list(zip(y_true.shape, y_pred.shape, strict=False))
        if len(y_true.shape) != len(y_pred.shape) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise ValueError(
                f"CategoricalCrossentropy: labels and predictions must be of one shape; given labels "
                f"{tuple(y_true.shape)} and predictions {tuple(y_pred.shape)}"
            )
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / y_true.shape[self.axis]
        if self.from_logits:
            return -ops.sum(y_true * ops.log_softmax(y_pred, axis=self.axis), axis=self.axis)
        epsilon = keras.config.epsilon()
        probabilities = y_pred / ops.sum(y_pred, axis=self.axis, keepdims=True)
        return -ops.sum(y_true * ops.log(ops.clip(probabilities, epsilon, 1.0 - epsilon)), axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal loss."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }
