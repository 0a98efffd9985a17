"""Keras layers without a state that behave the same on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from typing import Any, final

import keras
import numpy as np
from keras import ops

from multilstm.spec.arrays import native

_registered = keras.saving.register_keras_serializable(package="multilstm")


@final
@_registered
class ReLU(keras.layers.ReLU):  # type: ignore[misc]
    """Keras's ReLU with constants in the dtype of its input; Keras rounds them to float32 on TensorFlow.

    Args, call arguments: those of `keras.layers.ReLU`.
    """

    def call(self, inputs: Any) -> Any:
        """Return `min(x, max_value)` above the threshold, and `negative_slope * (x - threshold)` elsewhere."""
        above = inputs
        if self.max_value is not None:
            above = ops.where(inputs < self.max_value, inputs, self.max_value * ops.ones_like(inputs))
        return ops.where(inputs > self.threshold, above, self.negative_slope * (inputs - self.threshold))


@final
@_registered
class LeakyReLU(keras.layers.LeakyReLU):  # type: ignore[misc]
    """Keras's LeakyReLU with a slope in the dtype of its input; Keras rounds it to float32 on TensorFlow.

    Args, call arguments: those of `keras.layers.LeakyReLU`.
    """

    def call(self, inputs: Any) -> Any:
        """Return `x` where it is positive, and `negative_slope * x` elsewhere."""
        return ops.where(inputs > 0, inputs, self.negative_slope * inputs)


@final
@_registered
class AveragePooling1D(keras.layers.AveragePooling1D):  # type: ignore[misc]
    """Keras's AveragePooling1D whose padding `same` is left out of the mean; on PyTorch, Keras repeats the ends there.

    Args, call arguments: those of `keras.layers.AveragePooling1D`.
    """

    def call(self, inputs: Any) -> Any:
        """Return the mean of each window of timesteps, over the timesteps that exist."""
        if self.padding == "valid" or keras.backend.backend() != "torch":
            return super().call(inputs)
        return _mean_of_existing(self, inputs)


@final
@_registered
class AveragePooling2D(keras.layers.AveragePooling2D):  # type: ignore[misc]
    """Keras's AveragePooling2D whose padding `same` is left out of the mean, as in AveragePooling1D.

    Args, call arguments: those of `keras.layers.AveragePooling2D`.
    """

    def call(self, inputs: Any) -> Any:
        """Return the mean of each window of rows and columns, over the elements that exist."""
        if self.padding == "valid" or keras.backend.backend() != "torch":
            return super().call(inputs)
        return _mean_of_existing(self, inputs)


def _mean_of_existing(layer: Any, inputs: Any) -> Any:
    """Return the mean of each window over its elements that are no padding, for padding `same`."""
    pads = [(0, 0)]
    for size, window, stride in zip(inputs.shape[1:-1], layer.pool_size, layer.strides, strict=True):
        total = max(window - 1 - (size - 1) % stride, 0)
        pads.append((total // 2, total - total // 2))
    pads.append((0, 0))

    def mean(array: Any) -> Any:
        padded = ops.pad(array, pads)
        return ops.average_pool(padded, layer.pool_size, layer.strides, "valid", layer.data_format)

    return mean(inputs) / mean(ops.ones_like(inputs))


@final
@_registered
class GlobalAveragePooling1D(keras.layers.GlobalAveragePooling1D):  # type: ignore[misc]
    """Keras's GlobalAveragePooling1D that returns 0 for a sequence whose timesteps are all masked; Keras's mean is NaN.

    Args, call arguments: those of `keras.layers.GlobalAveragePooling1D`.
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mean over the timesteps that the mask keeps."""
        if mask is None:
            return super().call(inputs)
        keep = ops.expand_dims(ops.cast(mask, "bool"), -1)
        total = ops.sum(ops.where(keep, inputs, ops.zeros_like(inputs)), axis=1, keepdims=self.keepdims)
        count = ops.sum(ops.cast(keep, inputs.dtype), axis=1, keepdims=self.keepdims)
        return total / ops.maximum(count, ops.ones_like(count))


def _without_mask(output: Any, inputs: Any) -> Any:
    """Return the output as a tensor of its own; a mask is an attribute of the input."""
    return ops.copy(output) if output is inputs else output


@final
@_registered
class Reshape(keras.layers.Reshape):  # type: ignore[misc]
    """Keras's Reshape that drops the mask also where it changes nothing; on JAX, Keras keeps it there.

    Args, call arguments: those of `keras.layers.Reshape`.
    """

    def call(self, inputs: Any) -> Any:
        """Return the input in the shape `target_shape`."""
        return _without_mask(super().call(inputs), inputs)


@final
@_registered
class Permute(keras.layers.Permute):  # type: ignore[misc]
    """Keras's Permute that drops the mask also where it changes nothing; on JAX, Keras keeps it there.

    Args, call arguments: those of `keras.layers.Permute`.
    """

    def call(self, inputs: Any) -> Any:
        """Return the input with its axes in the order `dims`."""
        return _without_mask(super().call(inputs), inputs)


@final
@_registered
class Cropping1D(keras.layers.Cropping1D):  # type: ignore[misc]
    """Keras's Cropping1D that drops the mask also where it cuts nothing; on JAX, Keras keeps it there.

    Args, call arguments: those of `keras.layers.Cropping1D`.
    """

    def call(self, inputs: Any) -> Any:
        """Return the timesteps that are left."""
        return _without_mask(super().call(inputs), inputs)


@final
@_registered
class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's BatchNormalization that trains with a mask and one feature; on JAX and PyTorch, Keras fails.

    Args, call arguments, weights: those of `keras.layers.BatchNormalization`.
    """

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        mean, variance = super()._moments(inputs, mask)
        size = (inputs.shape[self.axis],)
        return ops.reshape(mean, size), ops.reshape(variance, size)


@final
@_registered
class LayerNormalization(keras.layers.LayerNormalization):  # type: ignore[misc]
    """Keras's LayerNormalization over any axes; on PyTorch, Keras fails for other axes than the last ones.

    Args, call arguments, weights: those of `keras.layers.LayerNormalization`.
    """

    def call(self, inputs: Any) -> Any:
        """Return `gamma * (x - mean) / sqrt(variance + epsilon) + beta`."""
        axes = sorted(axis % len(inputs.shape) for axis in self.axis)
        last = axes[-1] == len(inputs.shape) - 1 and axes == list(range(axes[0], axes[-1] + 1))
        if keras.backend.backend() != "torch" or last or self.rms_scaling:
            return super().call(inputs)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        centered = x - ops.mean(x, axis=axes, keepdims=True)
        normalized = centered * ops.rsqrt(ops.mean(ops.square(centered), axis=axes, keepdims=True) + self.epsilon)
        sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        if self.gamma is not None:
            normalized = normalized * ops.reshape(self.gamma, sizes)
        if self.beta is not None:
            normalized = normalized + ops.reshape(self.beta, sizes)
        return ops.cast(normalized, self.compute_dtype)


@final
@_registered
class Rescaling(keras.layers.Rescaling):  # type: ignore[misc]
    """Keras's Rescaling with numbers in the dtype of computation; on TensorFlow, Keras rounds lists to float32.

    Args, call arguments: those of `keras.layers.Rescaling`.
    """

    def call(self, inputs: Any) -> Any:
        """Return `inputs * scale + offset`."""
        if keras.config.image_data_format() == "channels_first":
            return super().call(inputs)
        scale, offset = (
            ops.convert_to_tensor(native(np.asarray(value)), dtype=self.compute_dtype)
            for value in (self.scale, self.offset)
        )
        return ops.cast(inputs, self.compute_dtype) * scale + offset


@final
@_registered
class Normalization(keras.layers.Normalization):  # type: ignore[misc]
    """Keras's Normalization with given moments in the dtype of computation; on TensorFlow, they are float32.

    Args, call arguments, weights: those of `keras.layers.Normalization`.
    """

    input_mean: Any
    input_variance: Any

    def build(self, input_shape: Any) -> None:
        """Create the weights, or take the given moments as float64, which `build` of Keras casts."""
        given = self.input_mean, self.input_variance
        if given[0] is not None:
            self.input_mean, self.input_variance = (np.asarray(value, "float64") for value in given)
        super().build(input_shape)
        self.input_mean, self.input_variance = given
