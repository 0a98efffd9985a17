"""Layers as plain data: Keras 3's names, arguments, order and defaults, validated when they are made.

No framework is imported. Calling one layer object twice shares its weights. What an argument means is Keras's
documentation (https://keras.io/api/layers/recurrent_layers/lstm/). Arguments that Keras has and that multilstm does not
execute yet are accepted at their default and refused by name at any other value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from multilstm.errors import SpecError
from multilstm.spec.arguments import is_integer, is_real
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.penalties import Constraint, Regularizer

ACTIVATIONS = (
    "linear", "tanh", "sigmoid", "relu", "softmax", "hard_sigmoid", "elu", "selu", "softplus", "softsign",
    "exponential", "silu", "gelu", "leaky_relu", "relu6",
)  # fmt: skip
INITIALIZERS = (
    "zeros", "ones", "uniform", "random_uniform", "random_normal", "glorot_uniform", "glorot_normal", "he_uniform",
    "he_normal", "lecun_uniform", "lecun_normal", "orthogonal",
)  # fmt: skip
BIAS_INITIALIZERS = tuple(name for name in INITIALIZERS if name != "orthogonal")  # which needs two axes
MERGE_MODES = ("concat", "sum", "mul", "ave", None)


def _no_activation_is_linear(layer: Layer, *names: str) -> None:
    """Replace None by `linear` in arguments that name activations."""
    for name in names:
        if getattr(layer, name) is None:
            object.__setattr__(layer, name, "linear")


def _check_inner(wrapper: Layer, inner: Layer) -> None:
    """Refuses a wrapper that is not trained around a layer that is: Keras trains that layer all the same."""
    if inner.trainable and not wrapper.trainable:
        name = type(inner).__name__
        raise SpecError(
            f"{type(wrapper).__name__}: given trainable=False around a {name} that is trainable, which Keras would "
            f"train all the same; give trainable=False to the {name}"
        )


@dataclasses.dataclass(frozen=True)
class InputLayer(Layer):
    """A model's input; made by `Input`. `shape` leaves out the batch; None marks a dimension that may vary."""

    refused: ClassVar = ("trainable",)

    shape: tuple[int | None, ...]
    batch_size: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            shape = tuple(self.shape)
        except TypeError:
            raise SpecError(f"Input: shape must be a tuple such as (None, 5), got {self.shape!r}") from None
        for size in (*shape, self.batch_size):
            if size is not None and not (is_integer(size) and 1 <= size < 2**31):
                raise SpecError(
                    f"Input: shape and batch_size must be positive integers below 2**31, or None where the size may "
                    f"vary; got shape={self.shape!r}, batch_size={self.batch_size!r}"
                )
        object.__setattr__(self, "shape", tuple(None if size is None else int(size) for size in shape))
        object.__setattr__(self, "batch_size", None if self.batch_size is None else int(self.batch_size))
        self._named(("float32", "int32"), "dtype")


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: str = "float32",
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """A symbolic input of a model.

    Args:
        shape: the shape without the batch, for example `(None, 5)`: any number of timesteps, 5 features.
        batch_size: the fixed number of sequences in a batch, which a stateful layer needs; None: any.
        dtype: `"float32"`, or `"int32"` for an Embedding's tokens. A job computes in its own dtype.
        name: unique in the model.
        batch_shape: `shape` with the batch in front; instead of `shape` and `batch_size`.

    Returns:
        A `Tensor`, to be passed to layers and to `Model`.

    Raises:
        SpecError: for a shape that is neither positive integers nor None.
    """
    if batch_shape is not None:
        if shape is not None or batch_size is not None:
            raise SpecError("Input: batch_shape stands for shape and batch_size; give either, not both")
        if not isinstance(batch_shape, (list, tuple)) or not batch_shape:
            raise SpecError(f"Input: batch_shape must be a tuple such as (200, None, 5), got {batch_shape!r}")
        batch_size, *rest = batch_shape
        shape = tuple(rest)
    if shape is None:
        raise SpecError("Input: shape is missing; expected for example shape=(None, 5)")
    tensor: Tensor = InputLayer(shape, batch_size, dtype, name=name)(())  # type: ignore[arg-type]
    return tensor


@dataclasses.dataclass(frozen=True)
class Embedding(Layer):
    """Tokens `[batch, timesteps]` (integers below `input_dim`) to vectors `[batch, timesteps, output_dim]`.

    With `mask_zero`, token 0 is masked.
    """

    input_dim: int
    output_dim: int
    embeddings_initializer: str = "uniform"
    embeddings_regularizer: Regularizer | str | None = None
    embeddings_constraint: Constraint | str | None = None
    mask_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("input_dim", "output_dim")
        self._boolean("mask_zero")
        self._named(INITIALIZERS, "embeddings_initializer")


@dataclasses.dataclass(frozen=True)
class Masking(Layer):
    """Masks, and sets to zero, the timesteps of which every feature equals `mask_value`."""

    mask_value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_real(self.mask_value):  # NaN equals nothing, and JSON, in which specs travel, has no infinity
            raise SpecError(f"Masking: mask_value must be a finite number, got {self.mask_value!r}")
        object.__setattr__(self, "mask_value", float(self.mask_value))


@dataclasses.dataclass(frozen=True)
class LSTM(Layer):
    """Long Short-Term Memory (Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735).

    With gates in Keras's order i, f, c, o along the last axis of `kernel [features, 4 * units]`,
    `recurrent_kernel [units, 4 * units]` and `bias [4 * units]`, one timestep is

        z = x @ kernel + hidden @ recurrent_kernel + bias          [batch, 4 * units]
        i, f, o = recurrent_activation(z_i, z_f, z_o);  g = activation(z_c)
        cell = f * cell + i * g;  hidden = o * activation(cell)    [batch, units]
    """

    refused: ClassVar = ("activity_regularizer",)

    units: int
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    use_bias: bool = True
    kernel_initializer: str = "glorot_uniform"
    recurrent_initializer: str = "orthogonal"
    bias_initializer: str = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer | str | None = None
    recurrent_regularizer: Regularizer | str | None = None
    bias_regularizer: Regularizer | str | None = None
    activity_regularizer: Any = None
    kernel_constraint: Constraint | str | None = None
    recurrent_constraint: Constraint | str | None = None
    bias_constraint: Constraint | str | None = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: int | None = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    use_cudnn: bool | Literal["auto"] = "auto"
    zero_output_for_mask: bool = dataclasses.field(default=False, kw_only=True)
    implementation: int = dataclasses.field(default=2, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("units")
        _no_activation_is_linear(self, "activation", "recurrent_activation")
        self._named(ACTIVATIONS, "activation", "recurrent_activation")
        self._named(INITIALIZERS, "kernel_initializer", "recurrent_initializer")
        self._named(BIAS_INITIALIZERS, "bias_initializer")
        self._seed("seed")
        self._rate("dropout", "recurrent_dropout")
        self._boolean(
            "use_bias", "unit_forget_bias", "return_sequences", "return_state", "go_backwards", "stateful",
            "unroll", "zero_output_for_mask",
        )  # fmt: skip
        if not isinstance(self.use_cudnn, bool) and not (isinstance(self.use_cudnn, str) and self.use_cudnn == "auto"):
            raise SpecError(f"LSTM: use_cudnn must be 'auto', True or False, got {self.use_cudnn!r}")
        if not is_integer(self.implementation) or self.implementation not in (1, 2):
            raise SpecError(f"LSTM: implementation must be 1 or 2, got {self.implementation!r}")

    @property
    def state_count(self) -> int:  # noqa: D102 - as in Layer
        return 2

    @property
    def output_count(self) -> int:  # noqa: D102 - as in Layer
        return 3 if self.return_state else 1


@dataclasses.dataclass(frozen=True)
class Bidirectional(Layer):
    """One LSTM forward and its copy backward over the same sequence, merged by `merge_mode` (None: a list of two).

    As in Keras, both directions put zeros where a timestep is masked, if they return sequences, and the backward
    sequence is turned round again before it is merged.
    """

    refused: ClassVar = ("weights", "backward_layer")

    layer: LSTM
    merge_mode: str | None = "concat"
    weights: Any = None
    backward_layer: LSTM | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.layer, LSTM):
            raise SpecError(f"Bidirectional: layer must be an LSTM, got {self.layer!r}")
        if self.layer.go_backwards:
            raise SpecError("Bidirectional: the layer must run forward; given go_backwards=True; leave it out")
        self._named(MERGE_MODES, "merge_mode")
        _check_inner(self, self.layer)
        forward = dataclasses.replace(self.layer, zero_output_for_mask=self.layer.return_sequences)
        object.__setattr__(self, "layer", forward)

    @property
    def directions(self) -> dict[str, LSTM]:
        """The forward and the backward LSTM by name."""
        return {"forward": self.layer, "backward": dataclasses.replace(self.layer, go_backwards=True)}

    @property
    def state_count(self) -> int:  # noqa: D102 - as in Layer
        return 4

    @property
    def output_count(self) -> int:  # noqa: D102 - as in Layer
        return (2 if self.merge_mode is None else 1) + (4 if self.layer.return_state else 0)


@dataclasses.dataclass(frozen=True)
class Dense(Layer):
    """`activation(x @ kernel + bias)` over the last axis; `kernel [features, units]`, `bias [units]`."""

    refused: ClassVar = ("activity_regularizer", "lora_rank", "lora_alpha", "quantization_config")

    units: int
    activation: str | None = None
    use_bias: bool = True
    kernel_initializer: str = "glorot_uniform"
    bias_initializer: str = "zeros"
    kernel_regularizer: Regularizer | str | None = None
    bias_regularizer: Regularizer | str | None = None
    activity_regularizer: Any = None
    kernel_constraint: Constraint | str | None = None
    bias_constraint: Constraint | str | None = None
    lora_rank: Any = None
    lora_alpha: Any = None
    quantization_config: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("units")
        self._boolean("use_bias")
        _no_activation_is_linear(self, "activation")
        self._named(ACTIVATIONS, "activation")
        self._named(INITIALIZERS, "kernel_initializer")
        self._named(BIAS_INITIALIZERS, "bias_initializer")


@dataclasses.dataclass(frozen=True)
class TimeDistributed(Layer):
    """Applies a Dense layer to every timestep of `[batch, timesteps, features]`."""

    layer: Dense

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.layer, Dense):
            raise SpecError(f"TimeDistributed: layer must be a Dense, got {self.layer!r}")
        _check_inner(self, self.layer)


@dataclasses.dataclass(frozen=True)
class Dropout(Layer):
    """In training, multiplies by a mask of 0 and 1 / (1 - rate), which a job gives as an input; else, identity."""

    refused: ClassVar = ("noise_shape",)

    rate: float
    noise_shape: Any = None
    seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rate("rate")
        self._seed("seed")


@dataclasses.dataclass(frozen=True)
class Activation(Layer):
    """Applies an activation by name."""

    activation: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _no_activation_is_linear(self, "activation")
        self._named(ACTIVATIONS, "activation")


@dataclasses.dataclass(frozen=True)
class RepeatVector(Layer):
    """`[batch, features]` to `[batch, n, features]`."""

    n: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("n")


@dataclasses.dataclass(frozen=True)
class Concatenate(Layer):
    """Joins several tensors along their last axis."""

    axis: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axis != -1:
            raise SpecError(f"Concatenate: only the last axis is executed; given axis={self.axis!r}, expected -1")


LAYERS: tuple[type[Layer], ...] = (
    InputLayer, Embedding, Masking, LSTM, Bidirectional, Dense, TimeDistributed, Dropout, Activation, RepeatVector,
    Concatenate,
)  # fmt: skip
