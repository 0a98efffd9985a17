"""Recurrent layers: LSTM, GRU and SimpleRNN."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from multilstm.errors import SpecError, shown
from multilstm.random import backward
from multilstm.spec.arguments import ActivationName, Argument, ArgumentError, Flag, Rate, Seed, Size, is_integer
from multilstm.spec.arrays import AnyState, HiddenState, State
from multilstm.spec.initializer_names import BiasInitializer, Initializer
from multilstm.spec.layer_base import DropoutMask, Layer
from multilstm.spec.penalties import MatrixConstraint, MatrixRegularizer, VectorConstraint, VectorRegularizer
from multilstm.spec.shapes import Shape, check_rank, features, show

__all__ = ["GRU", "LSTM", "Recurrent", "SimpleRNN"]


def _check_use_cudnn(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and not (isinstance(value, str) and value == "auto"):
        raise ArgumentError(f"{name} must be 'auto', True or False, got {shown(value)}")
    return value


def _check_implementation(name: str, value: Any) -> int:
    if not is_integer(value) or value not in (1, 2):
        raise ArgumentError(f"{name} must be 1 or 2, got {shown(value)}")
    return int(value)


Implementation = Annotated[int, Argument(_check_implementation)]
UseCudnn = Annotated[bool | Literal["auto"], Argument(_check_use_cudnn)]


class Recurrent(Layer):
    """The properties that the recurrent layers share.

    Each of them is a dataclass with all its arguments, because their order in Keras differs.

    Class variables:
        state_type: the state; its fields name the tensors that `initial_state` takes and `return_state` returns.
        state_axes: the axes of each tensor of the state.
        gates_in_words: the gates, in the order of their columns in each weight; empty without gates.
        size_name: the argument that is the number of columns of a gate.
    """

    refused: ClassVar = ("activity_regularizer",)
    fixed: ClassVar = {**Layer.fixed, "time_major": False}
    state_type: ClassVar[type[AnyState]] = HiddenState
    state_axes: ClassVar[str] = "[batch, units]"
    gates_in_words: ClassVar[str] = ""
    size_name: ClassVar[str] = "units"

    units: int
    activation: str
    use_bias: bool
    dropout: float
    recurrent_dropout: float
    seed: int | None
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    unroll: bool
    zero_output_for_mask: bool

    @property
    def state_names(self) -> tuple[str, ...]:
        return self.state_type._fields

    @property
    def output_count(self) -> int:
        return 1 + (self.state_count if self.return_state else 0)

    @property
    def recurrent(self) -> Mapping[str, Recurrent]:
        return {"": self}

    @property
    def behaviour(self) -> tuple[str, ...]:
        returned = "every timestep" if self.return_sequences else "the last timestep"
        states = f" and its state{'s' if self.state_count > 1 else ''}" if self.return_state else ""
        backwards = ["reads backwards"] if self.go_backwards else []
        return (f"returns {returned}{states}", *backwards, *self._changed_options())

    def _changed_options(self) -> Iterator[str]:
        """Yield a phrase for each option of the cell that changes numbers and has another value than Keras's default.

        A missing bias is seen in the weights; initializers and seeds are no part of what the layer computes.
        """
        for name, word in (("activation", "activation"), ("recurrent_activation", "recurrent activation")):
            value = getattr(self, name, None)
            if value != getattr(type(self), name, None):
                yield f"{word} {value or 'linear'}"
        for rate, subject in ((self.dropout, "its input"), (self.recurrent_dropout, "its recurrent state")):
            if rate:
                yield f"in training, drops {rate:.4g} of {subject}"
        if self.drops_by_gate and (self.dropout or self.recurrent_dropout):
            yield "each gate has its own dropout mask"
        if self.zero_output_for_mask:
            yield "masked timesteps return zero"

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias, if it is used."""
        return (self.gate_count * self.units,)

    @property
    def drops_by_gate(self) -> bool:
        """Whether each gate has its own dropout mask."""
        return False

    @property
    def state_in_words(self) -> str:
        """The type of the state with its fields: `State(hidden, cell)`."""
        return f"{self.state_type.__name__}({', '.join(self.state_names)})"

    def zero_state(self, zeros: Any) -> AnyState:
        """Return the state whose arrays are all `zeros`."""
        return self.state_type._make([zeros] * self.state_count)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        self._check_input(inputs)
        batch, timesteps, *_ = inputs
        if self.stateful and batch is None:
            raise SpecError(
                f"{self.label}: stateful=True carries one state for each sequence of the batch, so that the batch "
                f"size must be fixed; give Input(batch_size=...) or Sequential(..., batch_size=...)"
            )
        if self.unroll and timesteps is None:
            raise SpecError(f"{self.label}: unroll=True needs a fixed number of timesteps; given {show(inputs)}")
        states = self.state_shapes(inputs)
        output = (batch, timesteps, *states[0][1:]) if self.return_sequences else states[0]
        return (output, *states) if self.return_state else (output,)

    def _check_input(self, inputs: Shape) -> None:
        """Raise SpecError for a shape of inputs that the layer cannot take."""
        meaning = "[batch, timesteps, features] (a layer below it needs return_sequences=True)"
        check_rank(self.label, inputs, 3, meaning)
        features(self.label, inputs)

    def state_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        return ((inputs[0], self.units),) * self.state_count

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        columns = self.gate_count * self.units
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (features(self.label, inputs), columns),
            "recurrent_kernel": (self.units, columns),
        }
        return {**shapes, "bias": self.bias_shape} if self.use_bias else shapes

    def parameter_formula(self, inputs: Shape) -> str:
        width, units = features(self.label, inputs), self.units
        words, figures = "features*units + units*units", f"{width}*{units} + {units}*{units}"
        if self.use_bias:
            biases = "2*" if len(self.bias_shape) == 2 else ""
            words, figures = f"{words} + {biases}units", f"{figures} + {biases}{units}"
        if self.gate_count == 1:
            return f"{words} = {figures}"
        return f"{self.gate_count}*({words}) = {self.gate_count}*({figures})"

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the input if the sequence is returned (not reversed, with `go_backwards` too)."""
        return masks[0] if self.return_sequences else None

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield `name/dropout` and `name/recurrent_dropout`, with an axis of gates where each gate has its own.

        A mask serves all timesteps of a sequence (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287).
        """
        gates = (self.gate_count,) if self.drops_by_gate else ()
        timestep = (inputs[0], *inputs[2:])
        for kind, rate, shape in (
            ("dropout", self.dropout, timestep),
            ("recurrent_dropout", self.recurrent_dropout, self.state_shapes(inputs)[0]),
        ):
            if rate:
                stream = backward(kind) if self.go_backwards else kind
                yield DropoutMask(f"{name}/{kind}", rate, (*gates, *shape), self.seed, stream, bool(gates))


@dataclasses.dataclass(frozen=True)
class LSTM(Recurrent):
    """Long Short-Term Memory (Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735).

    With gates in Keras's order i, f, c, o along the last axis of `kernel [features, 4 * units]`,
    `recurrent_kernel [units, 4 * units]` and `bias [4 * units]`, one timestep is

        z = x @ kernel + hidden @ recurrent_kernel + bias          [batch, 4 * units]
        i, f, o = recurrent_activation(z_i, z_f, z_o);  g = activation(z_c)
        cell = f * cell + i * g;  hidden = o * activation(cell)    [batch, units]
    """

    state_type: ClassVar = State
    gates_in_words: ClassVar = "the four gates of an LSTM side by side: input, forget, cell, output"
    gate_count: ClassVar = 4

    units: Size
    activation: ActivationName = "tanh"
    recurrent_activation: ActivationName = "sigmoid"
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: BiasInitializer = "zeros"
    unit_forget_bias: Flag = True
    kernel_regularizer: MatrixRegularizer = None
    recurrent_regularizer: MatrixRegularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: Any = None
    kernel_constraint: MatrixConstraint = None
    recurrent_constraint: MatrixConstraint = None
    bias_constraint: VectorConstraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Seed = None
    return_sequences: Flag = False
    return_state: Flag = False
    go_backwards: Flag = False
    stateful: Flag = False
    unroll: Flag = False
    use_cudnn: UseCudnn = "auto"
    zero_output_for_mask: Flag = dataclasses.field(default=False, kw_only=True)
    implementation: Implementation = dataclasses.field(default=2, kw_only=True)

    @property
    def drops_by_gate(self) -> bool:
        """Whether each gate has its own dropout mask, as in Keras with a recurrent dropout too."""
        return self.implementation == 1 or self.recurrent_dropout > 0


@dataclasses.dataclass(frozen=True)
class GRU(Recurrent):
    """Gated Recurrent Unit (Cho et al. 2014, https://arxiv.org/abs/1406.1078).

    With gates in Keras's order z, r, h along the last axis of `kernel [features, 3 * units]` and
    `recurrent_kernel [units, 3 * units]`, one timestep is

        x_z, x_r, x_h = x @ kernel + bias[0]                               [batch, units] each
        z, r = recurrent_activation(x_z + h_z, x_r + h_r)
        g = activation(x_h + r * h_h)
        hidden = z * hidden + (1 - z) * g

    where `h_z, h_r, h_h = hidden @ recurrent_kernel + bias[1]` and `bias` is `[2, 3 * units]`. With `reset_after=False`
    the gate r acts before the product, `r * h_h` is `(r * hidden) @ recurrent_kernel_h`, and the bias `[3 * units]` is
    added once, to the inputs.
    """

    gates_in_words: ClassVar = "the three gates of a GRU side by side: update, reset, candidate"
    gate_count: ClassVar = 3

    units: Size
    activation: ActivationName = "tanh"
    recurrent_activation: ActivationName = "sigmoid"
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: BiasInitializer = "zeros"
    kernel_regularizer: MatrixRegularizer = None
    recurrent_regularizer: MatrixRegularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: Any = None
    kernel_constraint: MatrixConstraint = None
    recurrent_constraint: MatrixConstraint = None
    bias_constraint: VectorConstraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    seed: Seed = None
    return_sequences: Flag = False
    return_state: Flag = False
    go_backwards: Flag = False
    stateful: Flag = False
    unroll: Flag = False
    reset_after: Flag = True
    use_cudnn: UseCudnn = "auto"
    zero_output_for_mask: Flag = dataclasses.field(default=False, kw_only=True)
    implementation: Implementation = dataclasses.field(default=2, kw_only=True)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        columns = super().bias_shape
        return (2, *columns) if self.reset_after else columns

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (*super().behaviour, *([] if self.reset_after else ["resets before the product"]))

    @property
    def drops_by_gate(self) -> bool:
        """Whether each gate has its own dropout mask, as in Keras with a recurrent dropout too."""
        return self.implementation == 1 or self.recurrent_dropout > 0


@dataclasses.dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """A fully connected recurrent layer (Elman 1990, https://doi.org/10.1207/s15516709cog1402_1).

    With `kernel [features, units]`, `recurrent_kernel [units, units]` and `bias [units]`, one timestep is

        hidden = activation(x @ kernel + hidden @ recurrent_kernel + bias)    [batch, units]
    """

    units: Size
    activation: ActivationName = "tanh"
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: BiasInitializer = "zeros"
    kernel_regularizer: MatrixRegularizer = None
    recurrent_regularizer: MatrixRegularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: Any = None
    kernel_constraint: MatrixConstraint = None
    recurrent_constraint: MatrixConstraint = None
    bias_constraint: VectorConstraint = None
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    return_sequences: Flag = False
    return_state: Flag = False
    go_backwards: Flag = False
    stateful: Flag = False
    unroll: Flag = False
    seed: Seed = None
    zero_output_for_mask: Flag = dataclasses.field(default=False, kw_only=True)
