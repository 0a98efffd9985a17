"""Optimizers for Keras users whose updates are the same on every backend."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


def _dense(gradient: Any) -> Any:
    """TensorFlow's sparse gradient of an Embedding as an array, in which repeated tokens are summed."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if isinstance(gradient, tf.IndexedSlices):
            return tf.convert_to_tensor(gradient)
    return gradient


class _DenseGradients:
    """Makes all gradients dense before anything is done with them."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """As `keras.optimizers.Optimizer.apply`."""
        return super().apply([_dense(gradient) for gradient in grads], trainable_variables)  # type: ignore[misc]


@final
@keras.saving.register_keras_serializable(package="multilstm")
class SGD(_DenseGradients, keras.optimizers.SGD):
    """Keras's SGD, right for repeated tokens of an Embedding on TensorFlow too."""


@final
@keras.saving.register_keras_serializable(package="multilstm")
class RMSprop(_DenseGradients, keras.optimizers.RMSprop):
    """Keras's RMSprop, right for repeated tokens of an Embedding on TensorFlow too."""


@final
@keras.saving.register_keras_serializable(package="multilstm")
class Adam(_DenseGradients, keras.optimizers.Adam):
    """Keras's Adam, right for repeated tokens of an Embedding, and in float64, on TensorFlow too."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """As `keras.optimizers.Adam.update_step`, with betas in the variable's own dtype."""
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        dtype = variable.dtype
        rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
        iteration = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = (ops.convert_to_tensor(beta, dtype=dtype) for beta in (self.beta_1, self.beta_2))
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        alpha = rate * ops.sqrt(1 - ops.power(beta_2, iteration)) / (1 - ops.power(beta_1, iteration))
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        self.assign_sub(variable, momentum * alpha / (ops.sqrt(velocity) + self.epsilon))
