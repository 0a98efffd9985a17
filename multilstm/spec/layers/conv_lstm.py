"""ConvLSTM2D: an LSTM of images, whose products are convolutions."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError
from multilstm.spec.arguments import ActivationName, Flag, Rate, Seed, Size, one_of
from multilstm.spec.arrays import State
from multilstm.spec.initializer_names import BiasInitializer, Initializer
from multilstm.spec.layers.convolution import Window2D, check_strides, window_phrase
from multilstm.spec.layers.recurrent import Recurrent
from multilstm.spec.penalties import Tensor4Constraint, Tensor4Regularizer, VectorConstraint, VectorRegularizer
from multilstm.spec.shapes import Shape, check_rank, features, show
from multilstm.spec.sizes import DataFormat, window_count

__all__ = ["ConvLSTM2D"]


@dataclasses.dataclass(frozen=True)
class ConvLSTM2D(Recurrent):
    """An LSTM of images `[batch, timesteps, rows, columns, channels]`, whose products are convolutions.

    One timestep is that of `LSTM` at every row and column (Shi et al. 2015, https://arxiv.org/abs/1506.04214, without
    connections from the cell to the gates), with

        z = convolution(x, kernel) + convolution(hidden, recurrent_kernel) + bias    [batch, rows, columns, 4 * filters]

    and `kernel [*kernel_size, channels, 4 * filters]`, `recurrent_kernel [*kernel_size, filters, 4 * filters]`. The
    convolution of the hidden state has padding `same`, and neither strides nor dilation. With dropout, each gate has
    its own mask.
    """

    state_type: ClassVar = State
    state_axes: ClassVar = "[batch, rows, columns, filters]"
    size_name: ClassVar = "filters"
    gates_in_words: ClassVar = "the four gates of a ConvLSTM2D side by side: input, forget, cell, output"
    gate_count: ClassVar = 4

    filters: Size
    kernel_size: Window2D
    strides: Window2D = (1, 1)
    padding: Annotated[str, one_of("valid", "same")] = "valid"
    data_format: DataFormat = None
    dilation_rate: Window2D = (1, 1)
    activation: ActivationName = "tanh"
    recurrent_activation: ActivationName = "sigmoid"
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: BiasInitializer = "zeros"
    unit_forget_bias: Flag = True
    kernel_regularizer: Tensor4Regularizer = None
    recurrent_regularizer: Tensor4Regularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: Any = None
    kernel_constraint: Tensor4Constraint = None
    recurrent_constraint: Tensor4Constraint = None
    bias_constraint: VectorConstraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Seed = None
    return_sequences: Flag = False
    return_state: Flag = False
    go_backwards: Flag = False
    stateful: Flag = False
    unroll: Flag = dataclasses.field(default=False, kw_only=True)
    zero_output_for_mask: Flag = dataclasses.field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_strides(self)

    @property
    def units(self) -> int:  # type: ignore[override]
        """The size of the last axis of a state."""
        return self.filters

    @property
    def drops_by_gate(self) -> bool:
        return True

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (window_phrase(self), *super().behaviour)

    def _check_input(self, inputs: Shape) -> None:
        meaning = "[batch, timesteps, rows, columns, channels] (a layer below it needs return_sequences=True)"
        check_rank(self.label, inputs, 5, meaning)
        features(self.label, inputs)
        if None in inputs[2:4]:
            raise SpecError(
                f"{self.label}: rows and columns decide the shape of its states and may not vary; given shape "
                f"{show(inputs)}; give Input numbers there"
            )

    def state_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        image = (inputs[0], *inputs[2:])
        counts = window_count(self.label, image, self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return ((inputs[0], *counts, self.filters),) * self.state_count

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        columns = self.gate_count * self.filters
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (*self.kernel_size, features(self.label, inputs), columns),
            "recurrent_kernel": (*self.kernel_size, self.filters, columns),
        }
        return {**shapes, "bias": self.bias_shape} if self.use_bias else shapes

    def parameter_formula(self, inputs: Shape) -> str:
        window, channels, filters = "*".join(map(str, self.kernel_size)), features(self.label, inputs), self.filters
        words, figures = "kernel_size*(channels + filters)*filters", f"{window}*({channels} + {filters})*{filters}"
        if self.use_bias:
            words, figures = f"{words} + filters", f"{figures} + {filters}"
        return f"4*({words}) = 4*({figures})"
