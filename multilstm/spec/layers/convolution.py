"""Convolutions. As in Keras, no mask passes through."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from multilstm.errors import SpecError
from multilstm.spec.arguments import Flag, OptionalActivation, Size, one_of
from multilstm.spec.initializer_names import BiasInitializer, Initializer
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers.core import activation_phrase
from multilstm.spec.layers.pooling import AXES
from multilstm.spec.penalties import (
    Regularizer,
    Tensor3Constraint,
    Tensor3Regularizer,
    Tensor4Constraint,
    Tensor4Regularizer,
    VectorConstraint,
    VectorRegularizer,
)
from multilstm.spec.shapes import Shape, check_rank, features
from multilstm.spec.sizes import DataFormat, sizes, window_count

__all__ = ["Conv1D", "Conv2D", "DepthwiseConv2D", "Window2D", "check_strides", "window_phrase"]

Window1D = Annotated[Any, sizes(1)]  # one integer, or a tuple of it; kept as a tuple
Window2D = Annotated[Any, sizes(2)]


@dataclasses.dataclass(frozen=True)
class _Convolution(Layer):
    """The fields and answers that all convolutions share."""

    @property
    def activity(self) -> Regularizer | None:
        this: Any = self
        regularizer: Regularizer | None = this.activity_regularizer
        return regularizer

    @property
    def mixes_timesteps(self) -> bool:
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_strides(self)

    @property
    def behaviour(self) -> tuple[str, ...]:
        this: Any = self
        return (window_phrase(self), *activation_phrase(this.activation))

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None: Keras drops the mask."""
        return None

    def _convolved(self, inputs: Shape, channels: int) -> tuple[Shape, ...]:
        this: Any = self
        counts = window_count(self.label, inputs, this.kernel_size, this.strides, this.padding, this.dilation_rate)
        return ((inputs[0], *counts, channels),)


@dataclasses.dataclass(frozen=True)
class _Grouped(_Convolution):
    """A convolution with filters, which may read the features in groups."""

    def __post_init__(self) -> None:
        super().__post_init__()
        this: Any = self
        check_groups(self.class_name, "filters", this.filters, this.groups)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        this: Any = self
        check_rank(self.label, inputs, len(this.kernel_size) + 2, AXES[len(this.kernel_size)])
        check_groups(self.label, "features", features(self.label, inputs), this.groups)
        return self._convolved(inputs, this.filters)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        this: Any = self
        width = features(self.label, inputs) // this.groups
        kernel: dict[str, tuple[int, ...]] = {"kernel": (*this.kernel_size, width, this.filters)}
        return {**kernel, "bias": (this.filters,)} if this.use_bias else kernel

    def parameter_formula(self, inputs: Shape) -> str:
        this: Any = self
        window = "*".join(map(str, this.kernel_size))
        words, figures = "kernel_size*features*filters", f"{window}*{features(self.label, inputs)}*{this.filters}"
        if this.groups > 1:
            words, figures = f"{words}/groups", f"{figures}/{this.groups}"
        if this.use_bias:
            words, figures = f"{words} + filters", f"{figures} + {this.filters}"
        return f"{words} = {figures}"


@dataclasses.dataclass(frozen=True)
class Conv1D(_Grouped):
    """`activation(sum over k of x[t * strides + k * dilation_rate] @ kernel[k] + bias)`.

    `kernel [kernel_size, features / groups, filters]`, `bias [filters]`. Padding `same` pads both ends with zeros.
    `causal` pads the start, so that no timestep reads a later one. Each of `groups` reads its share of the features.
    """

    filters: Size
    kernel_size: Window1D
    strides: Window1D = (1,)
    padding: Annotated[str, one_of("valid", "same", "causal")] = "valid"
    data_format: DataFormat = None
    dilation_rate: Window1D = (1,)
    groups: Size = 1
    activation: OptionalActivation = None
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: BiasInitializer = "zeros"
    kernel_regularizer: Tensor3Regularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: VectorRegularizer = None
    kernel_constraint: Tensor3Constraint = None
    bias_constraint: VectorConstraint = None


@dataclasses.dataclass(frozen=True)
class Conv2D(_Grouped):
    """A convolution of `[batch, rows, columns, channels]`, as Conv1D is one of timesteps.

    `kernel [rows, columns, channels / groups, filters]`, `bias [filters]`.
    """

    filters: Size
    kernel_size: Window2D
    strides: Window2D = (1, 1)
    padding: Annotated[str, one_of("valid", "same")] = "valid"
    data_format: DataFormat = None
    dilation_rate: Window2D = (1, 1)
    groups: Size = 1
    activation: OptionalActivation = None
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: BiasInitializer = "zeros"
    kernel_regularizer: Tensor4Regularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: VectorRegularizer = None
    kernel_constraint: Tensor4Constraint = None
    bias_constraint: VectorConstraint = None


@dataclasses.dataclass(frozen=True)
class DepthwiseConv2D(_Convolution):
    """A convolution of each channel by itself, with `depth_multiplier` filters for each.

    `kernel [rows, columns, channels, depth_multiplier]`, `bias [channels * depth_multiplier]`. Filter m of channel c is
    output channel `c * depth_multiplier + m`.
    """

    kernel_size: Window2D
    strides: Window2D = (1, 1)
    padding: Annotated[str, one_of("valid", "same")] = "valid"
    depth_multiplier: Size = 1
    data_format: DataFormat = None
    dilation_rate: Window2D = (1, 1)
    activation: OptionalActivation = None
    use_bias: Flag = True
    depthwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: BiasInitializer = "zeros"
    depthwise_regularizer: Tensor4Regularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: VectorRegularizer = None
    depthwise_constraint: Tensor4Constraint = None
    bias_constraint: VectorConstraint = None

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 4, AXES[2])
        return self._convolved(inputs, features(self.label, inputs) * self.depth_multiplier)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        width = features(self.label, inputs)
        kernel: dict[str, tuple[int, ...]] = {"kernel": (*self.kernel_size, width, self.depth_multiplier)}
        return {**kernel, "bias": (width * self.depth_multiplier,)} if self.use_bias else kernel

    def parameter_formula(self, inputs: Shape) -> str:
        width, window = features(self.label, inputs), "*".join(map(str, self.kernel_size))
        words, figures = "kernel_size*channels*depth_multiplier", f"{window}*{width}*{self.depth_multiplier}"
        if self.use_bias:
            words, figures = f"{words} + channels*depth_multiplier", f"{figures} + {width}*{self.depth_multiplier}"
        return f"{words} = {figures}"

    def owner(self, weight: str) -> tuple[Layer, str]:
        return self, {"kernel": "depthwise"}.get(weight, weight)


def check_strides(layer: Any) -> None:
    """Raise SpecError for a layer with strides and dilation, which Keras does not compute together."""
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise SpecError(
            f"{layer.class_name}: strides={layer.strides} and dilation_rate={layer.dilation_rate}; Keras computes "
            f"strides above 1 without dilation alone; give one of them"
        )


def window_phrase(layer: Any) -> str:
    """Return the phrase of the summary for the windows of a convolution."""
    words = [f"windows of {'x'.join(map(str, layer.kernel_size))}, padding {layer.padding}"]
    words += [f"strides {'x'.join(map(str, layer.strides))}"] if max(layer.strides) > 1 else []
    words += [f"dilation {'x'.join(map(str, layer.dilation_rate))}"] if max(layer.dilation_rate) > 1 else []
    return ", ".join(words)


def check_groups(label: str, name: str, size: int, groups: int) -> None:
    """Raise SpecError for a number of features or filters that `groups` does not divide."""
    if size % groups:
        raise SpecError(f"{label}: {name} is {size}, which groups={groups} does not divide; give a multiple of it")
