"""Convolutions. As in Keras, no mask passes through."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError
from multilstm.spec.arguments import Flag, OptionalActivation, Size, one_of
from multilstm.spec.initializer_names import BiasInitializer, Initializer
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers.core import activation_phrase
from multilstm.spec.layers.pooling import AXES
from multilstm.spec.penalties import Tensor3Constraint, Tensor3Regularizer, VectorConstraint, VectorRegularizer
from multilstm.spec.shapes import Shape, check_rank, features
from multilstm.spec.sizes import DataFormat, sizes, window_count

__all__ = ["Conv1D"]

Window1D = Annotated[Any, sizes(1)]  # one integer, or a tuple of it; kept as a tuple


@dataclasses.dataclass(frozen=True)
class _Convolution(Layer):
    """The fields and answers that all convolutions share."""

    refused: ClassVar = ("activity_regularizer",)

    @property
    def mixes_timesteps(self) -> bool:
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        this: Any = self
        if max(this.strides) > 1 and max(this.dilation_rate) > 1:
            raise SpecError(
                f"{self.class_name}: strides={this.strides} and dilation_rate={this.dilation_rate}; Keras computes "
                f"strides above 1 without dilation alone; give one of them"
            )

    @property
    def behaviour(self) -> tuple[str, ...]:
        this: Any = self
        words = [f"windows of {'x'.join(map(str, this.kernel_size))}, padding {this.padding}"]
        words += [f"strides {'x'.join(map(str, this.strides))}"] if max(this.strides) > 1 else []
        words += [f"dilation {'x'.join(map(str, this.dilation_rate))}"] if max(this.dilation_rate) > 1 else []
        return (", ".join(words), *activation_phrase(this.activation))

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None: Keras drops the mask."""
        return None

    def _convolved(self, inputs: Shape, channels: int) -> tuple[Shape, ...]:
        this: Any = self
        counts = window_count(self.label, inputs, this.kernel_size, this.strides, this.padding, this.dilation_rate)
        return ((inputs[0], *counts, channels),)


@dataclasses.dataclass(frozen=True)
class Conv1D(_Convolution):
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
    activity_regularizer: Any = None
    kernel_constraint: Tensor3Constraint = None
    bias_constraint: VectorConstraint = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_groups(self.class_name, "filters", self.filters, self.groups)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, len(self.kernel_size) + 2, AXES[len(self.kernel_size)])
        check_groups(self.label, "features", features(self.label, inputs), self.groups)
        return self._convolved(inputs, self.filters)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        width = features(self.label, inputs) // self.groups
        kernel: dict[str, tuple[int, ...]] = {"kernel": (*self.kernel_size, width, self.filters)}
        return {**kernel, "bias": (self.filters,)} if self.use_bias else kernel

    def parameter_formula(self, inputs: Shape) -> str:
        window = "*".join(map(str, self.kernel_size))
        words, figures = "kernel_size*features*filters", f"{window}*{features(self.label, inputs)}*{self.filters}"
        if self.groups > 1:
            words, figures = f"{words}/groups", f"{figures}/{self.groups}"
        if self.use_bias:
            words, figures = f"{words} + filters", f"{figures} + {self.filters}"
        return f"{words} = {figures}"


def check_groups(label: str, name: str, size: int, groups: int) -> None:
    """Raise SpecError for a number of features or filters that `groups` does not divide."""
    if size % groups:
        raise SpecError(f"{label}: {name} is {size}, which groups={groups} does not divide; give a multiple of it")
