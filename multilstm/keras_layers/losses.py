"""Losses for Keras users that have the same value and gradient on every backend."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops

from multilstm.frameworks import private_keras


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


@final
@keras.saving.register_keras_serializable(package="multilstm")
class MeanOverAllTimesteps(keras.losses.Loss):  # type: ignore[misc]
    """A loss whose mean counts masked timesteps too, each as zero, as in Keras 2.3 and in TensorFlow 2.0 to 2.9.

    Keras 3, and Keras 1 to 2.2, divide the sum by the number of unmasked timesteps. Without a mask, both are equal.

    Args:
        loss: a loss of Keras with the reduction `"sum_over_batch_size"`.
        name: the name of this loss; None: that of `loss`.
        reduction: `"sum_over_batch_size"`, the only one.
        dtype: the loss's dtype; that of `loss` where None.
    """

    def __init__(
        self,
        loss: Any,
        name: str | None = None,
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if not isinstance(loss, keras.losses.Loss) or {reduction, loss.reduction} != {"sum_over_batch_size"}:
            raise ValueError(
                f"MeanOverAllTimesteps: expected a keras.losses.Loss with the reduction 'sum_over_batch_size', given "
                f"{loss!r} and the reduction {reduction!r}"
            )
        super().__init__(name=name or loss.name, reduction=reduction, dtype=dtype or loss.dtype)
        self.loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss as a number.

        Args:
            y_true: labels.
            y_pred: predictions, with the mask that a layer attached to them.
            sample_weight: a weight for each sample or timestep, or None.
        """
        mask = private_keras.keras_mask(y_pred)
        value = self.loss(y_true, y_pred, sample_weight=sample_weight)
        return value if mask is None else value * ops.mean(ops.cast(mask, value.dtype))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the values of the inner loss, one for each timestep."""
        return self.loss.call(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal loss."""
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MeanOverAllTimesteps:
        """Return the loss of `get_config`."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
