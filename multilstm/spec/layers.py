"""Layers as plain data: Keras 3's names, arguments, order and defaults, validated when they are made.

No framework is imported. A layer is a frozen dataclass; calling it on a symbolic tensor adds it to a graph, as in
Keras's functional API, and calling one layer object twice shares its weights. What an argument means is Keras's
documentation (https://keras.io/api/layers/recurrent_layers/lstm/). Arguments that Keras has and that multilstm does
not execute yet are accepted at their default and refused by name at any other value.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from multilstm.errors import SpecError, choice

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


def is_integer(value: Any) -> bool:
    """Whether `value` is an integer, NumPy's included; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether `value` is a finite real number, NumPy's included; True and False are not."""
    try:
        return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def check_name(what: str, name: object) -> None:
    """Raises SpecError for the name of a layer or a model that could not be a key, or could not be written."""
    if not isinstance(name, str) or not name or "/" in name or any("\ud800" <= char <= "\udfff" for char in name):
        raise SpecError(f"{what}: name must be a non-empty string of Unicode characters without '/', got {name!r}")


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A symbolic tensor: output number `index` of one call of a layer."""

    layer: Layer
    inputs: tuple[Tensor, ...]
    initial_state: tuple[Tensor, ...]
    index: int
    call: object  # shared by the outputs of one call


@dataclasses.dataclass(frozen=True)
class Layer:
    """What every layer has: a name (unique in its model; made from the class when None)."""

    refused: ClassVar[tuple[str, ...]] = ()

    name: str | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self._class, self.name)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in self.refused and value is not field.default and value != field.default:
                raise SpecError(
                    f"{self._class}: {field.name} is not executed by multilstm yet; "
                    f"given {value!r}, expected {field.default!r}; leave it out"
                )

    def __call__(self, inputs: Tensor | Sequence[Tensor], initial_state: Sequence[Tensor] | None = None) -> Any:
        """Adds this layer to the graph behind `inputs`; returns one `Tensor`, or a list with `return_state`."""
        given = tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
        states = tuple(initial_state) if initial_state is not None else ()
        for tensor in (*given, *states):
            if not isinstance(tensor, Tensor):
                raise SpecError(
                    f"{self._class}: called on {type(tensor).__name__}; expected what Input() or a layer returns "
                    f"(to compute with arrays, use multilstm.run)"
                )
        if states and not self.state_count:
            raise SpecError(f"{self._class}: it has no state, so that initial_state means nothing; leave it out")
        if states and len(states) != self.state_count:
            raise SpecError(
                f"{self._class}: initial_state has {len(states)} tensors, expected {self.state_count} (hidden, cell"
                f"{', for each direction' if self.state_count == 4 else ''})"
            )
        call = object()
        outputs = [Tensor(self, given, states, index, call) for index in range(self.output_count)]
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def _class(self) -> str:
        return type(self).__name__

    @property
    def state_count(self) -> int:
        """How many state tensors `initial_state` takes and `return_state` returns (hidden, cell per direction)."""
        return 0

    @property
    def output_count(self) -> int:
        """How many tensors a call of this layer returns."""
        return 1

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not is_integer(value) or value < 1:
                raise SpecError(f"{self._class}: {name} must be a positive integer, got {value!r}")
            if value > 2**31 - 1:
                raise SpecError(f"{self._class}: {name} must be below 2**31, got {value!r}")
            object.__setattr__(self, name, int(value))

    def _boolean(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{self._class}: {name} must be True or False, got {getattr(self, name)!r}")

    def _rate(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not is_real(value) or not 0 <= value < 1:
                raise SpecError(f"{self._class}: {name} must be a number with 0 <= {name} < 1, got {value!r}")
            object.__setattr__(self, name, float(value))

    def _named(self, known: Sequence[Any], *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if isinstance(value, str):
                value = value.lower() if value.lower() in known else value
            elif callable(value):
                value = getattr(value, "__name__", repr(value))
            if not isinstance(value, (str, type(None))) or value not in known:
                raise SpecError(f"{self._class}: {choice(name, value, known)}")
            object.__setattr__(self, name, value)

    def _seed(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not is_integer(value):
                raise SpecError(f"{self._class}: {name} must be an integer or None, got {value!r}")
            object.__setattr__(self, name, None if value is None else int(value))

    def _activation(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) is None:
                object.__setattr__(self, name, "linear")
        self._named(ACTIVATIONS, *names)


@dataclasses.dataclass(frozen=True)
class InputLayer(Layer):
    """A model's input; made by `Input`. `shape` leaves out the batch; None marks a dimension that may vary."""

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

    refused: ClassVar = ("embeddings_regularizer", "embeddings_constraint")

    input_dim: int
    output_dim: int
    embeddings_initializer: str = "uniform"
    embeddings_regularizer: Any = None
    embeddings_constraint: Any = None
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

    refused: ClassVar = (
        "kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer",
        "kernel_constraint", "recurrent_constraint", "bias_constraint",
    )  # fmt: skip

    units: int
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    use_bias: bool = True
    kernel_initializer: str = "glorot_uniform"
    recurrent_initializer: str = "orthogonal"
    bias_initializer: str = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Any = None
    recurrent_regularizer: Any = None
    bias_regularizer: Any = None
    activity_regularizer: Any = None
    kernel_constraint: Any = None
    recurrent_constraint: Any = None
    bias_constraint: Any = None
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
        self._activation("activation", "recurrent_activation")
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

    refused: ClassVar = (
        "kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint",
        "lora_rank", "lora_alpha", "quantization_config",
    )  # fmt: skip

    units: int
    activation: str | None = None
    use_bias: bool = True
    kernel_initializer: str = "glorot_uniform"
    bias_initializer: str = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    activity_regularizer: Any = None
    kernel_constraint: Any = None
    bias_constraint: Any = None
    lora_rank: Any = None
    lora_alpha: Any = None
    quantization_config: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("units")
        self._boolean("use_bias")
        self._activation("activation")
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
        self._activation("activation")


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
