"""Optimizers for Keras users whose updates are the same on every backend."""

from __future__ import annotations

import copy
from typing import Any, final

import keras
import numpy as np
from keras import ops

from multilstm.frameworks import private_keras


class _Portable:
    """Base of the optimizers: dense gradients, and constants that keep float64."""

    @property
    def weight_decay(self) -> float | None:
        """The weight decay; on TensorFlow a float64 of NumPy, since `tf.cast` rounds a Python float to float32."""
        exact = isinstance(self._decay, float) and keras.backend.backend() == "tensorflow"
        return np.float64(self._decay) if exact else self._decay

    @weight_decay.setter
    def weight_decay(self, value: float | None) -> None:
        self._decay = value

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """Update the variables, as `keras.optimizers.Optimizer.apply` does."""
        return super().apply([_dense(gradient) for gradient in grads], trainable_variables)  # type: ignore[misc]

    def _filter_empty_gradients(self, grads: Any, vars: Any) -> Any:  # noqa: A002 - Keras's name
        """Give zeros to weights that the loss does not depend on, as JAX does, so they decay like the others."""
        super()._filter_empty_gradients(grads, vars)  # type: ignore[misc] # warns; raises if all are empty
        zeros = [ops.zeros_like(v) if g is None else g for g, v in zip(grads, vars, strict=True)]
        return zeros, list(vars)

    def _get_current_learning_rate(self) -> Any:
        schedule = private_keras.learning_rate_schedule(self)
        if schedule is None or keras.backend.backend() != "tensorflow":
            return super()._get_current_learning_rate()  # type: ignore[misc]
        exact = copy.copy(schedule)
        vars(exact).update({key: _float64(value) for key, value in vars(exact).items()})
        return exact(self.iterations)  # type: ignore[attr-defined]


def _float64(value: Any) -> Any:
    """Return floats, and lists of them, as NumPy's float64, which TensorFlow does not round to float32."""
    if isinstance(value, (list, tuple)):
        return [_float64(item) for item in value]
    return np.float64(value) if isinstance(value, float) else value


def _dense(gradient: Any) -> Any:
    """Return a gradient as an array; a sparse one of TensorFlow with the sum over repeated tokens."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if isinstance(gradient, tf.IndexedSlices):
            return tf.convert_to_tensor(gradient)
    return gradient


@final
@keras.saving.register_keras_serializable(package="multilstm")
class SGD(_Portable, keras.optimizers.SGD):  # type: ignore[misc]
    """Keras's SGD, right for repeated tokens of an Embedding, and in float64, on TensorFlow too."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable as `keras.optimizers.SGD` does, with the momentum in the variable's dtype."""
        descent = ops.cast(gradient, variable.dtype) * ops.cast(learning_rate, variable.dtype)
        if not self.momentum:
            self.assign_sub(variable, descent)
            return
        momentum = ops.convert_to_tensor(self.momentum, dtype=variable.dtype)
        velocity = private_keras.optimizer_slots(self, "momentum")[private_keras.variable_index(self, variable)]
        self.assign(velocity, velocity * momentum - descent)
        self.assign_add(variable, velocity * momentum - descent if self.nesterov else velocity)


@final
@keras.saving.register_keras_serializable(package="multilstm")
class RMSprop(_Portable, keras.optimizers.RMSprop):  # type: ignore[misc]
    """Keras's RMSprop, right for repeated tokens of an Embedding on TensorFlow too."""


@keras.saving.register_keras_serializable(package="multilstm")
class Adam(_Portable, keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam, right for repeated tokens of an Embedding, and in float64, on TensorFlow too."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable as `keras.optimizers.Adam` does, with betas in the variable's dtype."""
        dtype = variable.dtype
        rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
        iteration = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = (ops.convert_to_tensor(beta, dtype=dtype) for beta in (self.beta_1, self.beta_2))
        index = private_keras.variable_index(self, variable)
        momentum, velocity = (private_keras.optimizer_slots(self, slot)[index] for slot in ("momentum", "velocity"))
        alpha = rate * ops.sqrt(1 - ops.power(beta_2, iteration)) / (1 - ops.power(beta_1, iteration))
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        if self.amsgrad:
            largest = private_keras.optimizer_slots(self, "largest_velocity")[index]
            self.assign(largest, ops.maximum(largest, velocity))
            velocity = largest
        self.assign_sub(variable, momentum * alpha / (ops.sqrt(velocity) + self.epsilon))


@final
@keras.saving.register_keras_serializable(package="multilstm")
class AdamW(Adam, keras.optimizers.AdamW):  # type: ignore[misc]
    """Keras's AdamW, right for repeated tokens of an Embedding, and in float64, on TensorFlow too."""


@final
@keras.saving.register_keras_serializable(package="multilstm")
class RMSpropKeras2(_Portable, keras.optimizers.RMSprop):  # type: ignore[misc]
    """The RMSprop of Keras 1, and of Keras 2 before 2.11, with epsilon outside of the root.

    Keras 3 divides by `sqrt(velocity + epsilon)`. With the usual epsilon of 1e-7, weights of small gradients then move
    up to 3000 times less. With a momentum, Keras 2 had epsilon inside of the root too; then use `RMSprop`.

    Args: those of `keras.optimizers.RMSprop`; `momentum` must be 0.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.momentum:
            raise ValueError(f"RMSpropKeras2: momentum must be 0, given {self.momentum}; with a momentum, use RMSprop")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable by `rate * gradient / (sqrt(velocity) + epsilon)`."""
        dtype, index = variable.dtype, private_keras.variable_index(self, variable)
        gradient, rho = ops.cast(gradient, dtype), ops.convert_to_tensor(self.rho, dtype=dtype)
        velocity = private_keras.optimizer_slots(self, "velocity")[index]
        self.assign(velocity, rho * velocity + (1 - rho) * ops.square(gradient))
        variance = ops.convert_to_tensor(velocity)
        if self.centered:
            mean = private_keras.optimizer_slots(self, "average_gradient")[index]
            self.assign(mean, rho * mean + (1 - rho) * gradient)
            variance = variance - ops.square(mean)
        self.assign_sub(variable, ops.cast(learning_rate, dtype) * gradient / (ops.sqrt(variance) + self.epsilon))
