"""Layers that act on every position by itself: Embedding, Masking, Dense, Activation, Rescaling, dropout."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import (
    ActivationName,
    Argument,
    ArgumentError,
    Flag,
    OptionalActivation,
    Rate,
    Seed,
    Size,
    is_real,
)
from multilstm.spec.initializer_names import BiasInitializer, EmbeddingsInitializer, Initializer
from multilstm.spec.layer_base import DropoutMask, Layer
from multilstm.spec.penalties import (
    L1L2,
    MatrixConstraint,
    MatrixRegularizer,
    Regularizer,
    VectorConstraint,
    VectorRegularizer,
)
from multilstm.spec.shapes import Shape, check_rank, features, show
from multilstm.spec.sizes import DataFormat, NonNegative, Tuple

__all__ = [
    "Activation",
    "ActivityRegularization",
    "Dense",
    "Dropout",
    "Embedding",
    "Masking",
    "Rescaling",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "activation_phrase",
]


@dataclasses.dataclass(frozen=True)
class Embedding(Layer):
    """Tokens `[batch, timesteps]` (integers below `input_dim`) to vectors `[batch, timesteps, output_dim]`.

    With `mask_zero`, token 0 is masked. Without it, tokens may have further axes.
    """

    input_dtype: ClassVar = "int32"

    input_dim: Size
    output_dim: Size
    embeddings_initializer: EmbeddingsInitializer = "uniform"
    embeddings_regularizer: MatrixRegularizer = None
    embeddings_constraint: MatrixConstraint = None
    mask_zero: Flag = False

    @property
    def table_sizes(self) -> tuple[int, ...]:
        return (self.input_dim,)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        if self.mask_zero or len(inputs) < 2:
            check_rank(self.label, inputs, 2, "[batch, timesteps] of tokens")
        return ((*inputs, self.output_dim),)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return {"embeddings": (self.input_dim, self.output_dim)}

    def parameter_formula(self, inputs: Shape) -> str:
        return f"input_dim*output_dim = {self.input_dim}*{self.output_dim}"

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the tokens that are not 0; None without `mask_zero`."""
        return inputs[0] != 0 if self.mask_zero else None


def _check_mask_value(name: str, value: Any) -> float:
    if not is_real(value):  # NaN equals nothing, and JSON, in which specs travel, has no infinity
        raise ArgumentError(f"{name} must be a finite number, got {shown(value)}")
    return float(value)


@dataclasses.dataclass(frozen=True)
class Masking(Layer):
    """Masks every timestep whose features all equal `mask_value`, and sets it to zero."""

    moves_values: ClassVar = True

    mask_value: Annotated[float, Argument(_check_mask_value)] = 0.0

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 3, "[batch, timesteps, features]")
        return (inputs,)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the timesteps with a feature other than `mask_value`; it replaces the input's mask."""
        return (inputs[0] != self.mask_value).any(-1)


@dataclasses.dataclass(frozen=True)
class Dense(Layer):
    """`activation(x @ kernel + bias)` over the last axis; `kernel [features, units]`, `bias [units]`."""

    refused: ClassVar = ("lora_rank", "lora_alpha", "quantization_config")

    units: Size
    activation: OptionalActivation = None
    use_bias: Flag = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: BiasInitializer = "zeros"
    kernel_regularizer: MatrixRegularizer = None
    bias_regularizer: VectorRegularizer = None
    activity_regularizer: VectorRegularizer = None
    kernel_constraint: MatrixConstraint = None
    bias_constraint: VectorConstraint = None
    lora_rank: Any = None
    lora_alpha: Any = None
    quantization_config: Any = None

    @property
    def activity(self) -> Regularizer | None:
        return self.activity_regularizer  # type: ignore[return-value]  # a name has become a Regularizer

    @property
    def behaviour(self) -> tuple[str, ...]:
        return activation_phrase(self.activation)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        features(self.label, inputs)
        return ((*inputs[:-1], self.units),)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        kernel: dict[str, tuple[int, ...]] = {"kernel": (features(self.label, inputs), self.units)}
        return {**kernel, "bias": (self.units,)} if self.use_bias else kernel

    def parameter_formula(self, inputs: Shape) -> str:
        product = f"{features(self.label, inputs)}*{self.units}"
        if self.use_bias:
            return f"features*units + units = {product} + {self.units}"
        return f"features*units = {product}"


@dataclasses.dataclass(frozen=True)
class Dropout(Layer):
    """In training, multiplies by a mask of 0 and 1 / (1 - rate), given or drawn from the seed; else the identity."""

    refused: ClassVar = ("noise_shape",)

    rate: Rate
    noise_shape: Any = None
    seed: Seed = None

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"in training, drops {self.rate:.4g} of its input",)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield one mask of the shape of the input."""
        if self.rate:
            yield DropoutMask(name, self.rate, inputs, self.seed)


@dataclasses.dataclass(frozen=True)
class SpatialDropout1D(Layer):
    """Dropout that drops a feature at all timesteps of a sequence; its mask is `[batch, 1, features]`."""

    rate: Rate
    seed: Seed = None

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"in training, drops {self.rate:.4g} of its features, each at all timesteps",)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 3, "[batch, timesteps, features]")
        return (inputs,)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield one mask for all timesteps."""
        if self.rate:
            yield DropoutMask(name, self.rate, (inputs[0], 1, inputs[2]), self.seed)


@dataclasses.dataclass(frozen=True)
class SpatialDropout2D(Layer):
    """Dropout that drops a channel at all rows and columns of an image; its mask is `[batch, 1, 1, channels]`."""

    rate: Rate
    data_format: DataFormat = None
    seed: Seed = None

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"in training, drops {self.rate:.4g} of its channels, each at all rows and columns",)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 4, "[batch, rows, columns, channels]")
        return (inputs,)

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield one mask for all rows and columns."""
        if self.rate:
            yield DropoutMask(name, self.rate, (inputs[0], 1, 1, inputs[-1]), self.seed)


@dataclasses.dataclass(frozen=True)
class Activation(Layer):
    """Applies an activation by name."""

    activation: ActivationName

    @property
    def behaviour(self) -> tuple[str, ...]:
        return activation_phrase(self.activation)


def activation_phrase(activation: str | None) -> tuple[str, ...]:
    """Return the phrase of the summary for the activation of a layer; empty for `linear`."""
    return () if activation in (None, "linear") else (f"activation {activation}",)


def _check_numbers(name: str, value: Any) -> Any:
    numbers = value if isinstance(value, (list, tuple)) else (value,)
    if not numbers or not all(map(is_real, numbers)):
        raise ArgumentError(f"{name} must be a finite number, or one for each feature, got {shown(value)}")
    return tuple(map(float, numbers)) if isinstance(value, (list, tuple)) else float(value)


@dataclasses.dataclass(frozen=True)
class Rescaling(Layer):
    """`x * scale + offset`; each of them is a number, or one for each feature."""

    scale: Annotated[Any, Tuple(_check_numbers, limit=None)]
    offset: Annotated[Any, Tuple(_check_numbers, limit=None)] = 0.0

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(value, tuple) and len(value) not in (1, inputs[-1]):
                raise SpecError(f"{self.label}: {name} has {len(value)} numbers, the input {show(inputs)}; give one")
        return (inputs,)


@dataclasses.dataclass(frozen=True)
class ActivityRegularization(Layer):
    """The identity, with a penalty of its input in the loss: `(l1 * sum(|x|) + l2 * sum(x**2)) / batch size`."""

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0

    @property
    def activity(self) -> L1L2:
        return L1L2(self.l1, self.l2)

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"adds a penalty of its input to the loss, l1 {self.l1:.4g}, l2 {self.l2:.4g}",)
