"""Recurrent layers: the LSTM."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import ActivationName, Argument, ArgumentError, Flag, Rate, Seed, Size, is_integer
from multilstm.spec.initializer_names import BiasInitializer, Initializer
from multilstm.spec.layer_base import DropoutMask, Layer
from multilstm.spec.penalties import MatrixConstraint, MatrixRegularizer, VectorConstraint, VectorRegularizer
from multilstm.spec.shapes import Shape, check_rank, features, show

__all__ = ["LSTM"]


def _check_use_cudnn(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and not (isinstance(value, str) and value == "auto"):
        raise ArgumentError(f"{name} must be 'auto', True or False, got {shown(value)}")
    return value


def _check_implementation(name: str, value: Any) -> int:
    if not is_integer(value) or value not in (1, 2):
        raise ArgumentError(f"{name} must be 1 or 2, got {shown(value)}")
    return int(value)


Implementation = Annotated[int, Argument(_check_implementation)]


@dataclasses.dataclass(frozen=True)
class LSTM(Layer):
    """Long Short-Term Memory (Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735).

    With gates in Keras's order i, f, c, o along the last axis of `kernel [features, 4 * units]`,
    `recurrent_kernel [units, 4 * units]` and `bias [4 * units]`, one timestep is

        z = x @ kernel + hidden @ recurrent_kernel + bias          [batch, 4 * units]
        i, f, o = recurrent_activation(z_i, z_f, z_o);  g = activation(z_c)
        cell = f * cell + i * g;  hidden = o * activation(cell)    [batch, units]

    A dropout mask serves all timesteps of a sequence (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287).
    """

    refused: ClassVar = ("activity_regularizer",)
    fixed: ClassVar = {**Layer.fixed, "time_major": False}
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
    use_cudnn: Annotated[bool | Literal["auto"], Argument(_check_use_cudnn)] = "auto"
    zero_output_for_mask: Flag = dataclasses.field(default=False, kw_only=True)
    implementation: Implementation = dataclasses.field(default=2, kw_only=True)

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("hidden", "cell")

    @property
    def output_count(self) -> int:
        return 1 + (self.state_count if self.return_state else 0)

    @property
    def lstms(self) -> Mapping[str, LSTM]:
        return {"": self}

    @property
    def behaviour(self) -> tuple[str, ...]:
        returned = "every timestep" if self.return_sequences else "the last timestep"
        states = " and its states" if self.return_state else ""
        return (f"returns {returned}{states}", *(["reads backwards"] if self.go_backwards else []))

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        meaning = "[batch, timesteps, features] (a layer below it needs return_sequences=True)"
        check_rank(self.label, inputs, 3, meaning)
        features(self.label, inputs)
        batch, timesteps, _ = inputs
        if self.stateful and batch is None:
            raise SpecError(
                f"{self.label}: stateful=True carries one state for each sequence of the batch, so that the batch "
                f"size must be fixed; give Input(batch_size=...) or Sequential(..., batch_size=...)"
            )
        if self.unroll and timesteps is None:
            raise SpecError(f"{self.label}: unroll=True needs a fixed number of timesteps; given {show(inputs)}")
        states = self.state_shapes(inputs)
        output = (batch, timesteps, self.units) if self.return_sequences else (batch, self.units)
        return (output, *states) if self.return_state else (output,)

    def state_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        return ((inputs[0], self.units),) * self.state_count

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        gates = self.gate_count * self.units
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (features(self.label, inputs), gates),
            "recurrent_kernel": (self.units, gates),
        }
        return {**shapes, "bias": (gates,)} if self.use_bias else shapes

    def parameter_formula(self, inputs: Shape) -> str:
        width, units = features(self.label, inputs), self.units
        words, figures = "features*units + units*units", f"{width}*{units} + {units}*{units}"
        if self.use_bias:
            words, figures = f"{words} + units", f"{figures} + {units}"
        return f"4*({words}) = 4*({figures})"

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the input if the sequence is returned (not reversed, with `go_backwards` too)."""
        return masks[0] if self.return_sequences else None

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield `name/dropout` and `name/recurrent_dropout`, with an axis of gates where each gate has its own."""
        gates = (4,) if self.implementation == 1 or self.recurrent_dropout else ()
        batch, *_, width = inputs
        if self.dropout:
            yield DropoutMask(f"{name}/dropout", self.dropout, (*gates, batch, width))
        if self.recurrent_dropout:
            yield DropoutMask(f"{name}/recurrent_dropout", self.recurrent_dropout, (*gates, batch, self.units))
