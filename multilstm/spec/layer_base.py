"""The base of all layers: name, place in a graph, and the properties that a model needs of its layers.

A layer is a frozen dataclass. Calling it on a symbolic tensor adds it to a graph, as in Keras's functional API. To add
a layer, write its class in `multilstm.spec.layers` with its arguments, and override the methods whose answers differ
from those of `Layer`. Every other part of the spec (shapes, masks, JSON, summary) uses only these methods.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from multilstm.errors import SpecError, choice, listed, shown
from multilstm.spec.arguments import Argument, ArgumentError, Flag, Name, check_arguments
from multilstm.spec.shapes import Shape

if TYPE_CHECKING:
    from multilstm.spec.layers.inner_model import InnerModel
    from multilstm.spec.layers.recurrent import Recurrent
    from multilstm.spec.penalties import Regularizer

__all__ = ["DropoutMask", "InnerLayer", "Layer", "Tensor", "inner_layer"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Tensor:
    """A symbolic tensor: one output of one call of a layer.

    Attributes:
        layer: the called layer.
        inputs: the tensors that the call takes.
        initial_state: the tensors from which the states of the call start; empty: zeros.
        index: the number of the output.
        call: an object that the outputs of one call share.
    """

    layer: Layer
    inputs: tuple[Tensor, ...]
    initial_state: tuple[Tensor, ...]
    index: int
    call: object

    def __repr__(self) -> str:  # not of the inputs, whose number may double with every layer
        return f"<output {self.index} of {self.layer.label}>"


class DropoutMask(NamedTuple):
    """One mask that a training step needs.

    Attributes:
        name: the name of a Dropout layer; for an LSTM `lstm/dropout` (on its inputs) or `lstm/recurrent_dropout` (on
            its hidden states).
        rate: the share that is dropped; 0 of a noise that is added.
        shape: the shape of the input of a Dropout layer. For an LSTM with `implementation=2`, `[batch, size]`, which
            all gates share. With `implementation=1` or a recurrent dropout, as in Keras, `[4, batch, size]`: one mask
            for each gate i, f, c, o. None is a size that may vary.
        seed: the layer's seed, from which the mask is drawn where none is given; None: it must be given.
        stream: the stream of `multilstm.random` to which the mask belongs.
        gates: whether the first axis of the shape is that of gates.
        normal: the mean and the standard deviation of the values, which are normal numbers; None: they are 0 and
            `1 / (1 - rate)`.
        seeded: whether a seed of the layer draws the mask.
    """

    name: str
    rate: float
    shape: Shape
    seed: int | None = None
    stream: str = "dropout"
    gates: bool = False
    normal: tuple[float, float] | None = None
    seeded: bool = True

    @property
    def values_in_words(self) -> str:
        """The values that a given mask may have."""
        if self.normal is None:
            return "0 and 1 / (1 - rate)"
        return f"normal numbers of mean {self.normal[0]:.4g} and standard deviation {self.normal[1]:.4g}"


@dataclasses.dataclass(frozen=True)
class Layer:
    """The arguments of every layer, and the answers of a layer that keeps shape and mask and has no weights.

    Class variables:
        refused: the arguments of this class that multilstm does not execute; each must have its default.
        fixed: the arguments in Keras's JSON that this class lacks, with the only values that are read.
        ignored: the arguments in Keras's JSON that are read elsewhere or change no answer.
        input_dtype: the dtype of the `Input` that a model without one gets before this layer.
        gate_count: the number of gates along the last axis of each weight.
        moves_values: whether each value of the output is one of the input, or 0, so that tokens remain tokens.

    Attributes:
        name: unique in a model; None: made from the class when the layer enters a model.
        trainable: whether training changes the weights.
    """

    refused: ClassVar[tuple[str, ...]] = ()
    fixed: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "activity_regularizer": None,
            "lora_alpha": None,
            "lora_rank": None,
            "quantization_config": None,
            "weights": None,
        }
    )
    ignored: ClassVar[tuple[str, ...]] = ("batch_shape", "batch_input_shape")
    input_dtype: ClassVar[str] = "float32"
    gate_count: ClassVar[int] = 1
    moves_values: ClassVar[bool] = False

    name: Name = dataclasses.field(default=None, kw_only=True)
    trainable: Flag = dataclasses.field(default=True, kw_only=True)

    def __new__(cls, *_: Any, **arguments: Any) -> Self:
        """Refuse an unknown argument with the names that are like it, before Python's own TypeError."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in arguments:
            if name not in names:
                raise SpecError(f"{cls.__name__}: {choice('argument', name, names)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in self.refused and value is not field.default and value != field.default:
                raise SpecError(
                    f"{self.class_name}: {field.name} is not executed by multilstm yet; "
                    f"given {shown(value)}, expected {field.default!r}; leave it out"
                )
        check_arguments(self, SpecError, self.class_name)

    def __call__(self, inputs: Tensor | Sequence[Tensor], initial_state: Sequence[Tensor] | None = None) -> Any:
        """Add this layer to the graph behind `inputs`.

        Args:
            inputs: one tensor, or a list for a layer that takes several.
            initial_state: the tensors from which the states start (hidden, cell; per direction); None: zeros.

        Returns:
            One `Tensor`, or a list where the layer returns several.

        Raises:
            SpecError: for anything but tensors, or a wrong number of states.
        """
        tensors = tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
        states = tuple(initial_state) if initial_state is not None else ()
        for tensor in (*tensors, *states):
            if not isinstance(tensor, Tensor):
                raise SpecError(
                    f"{self.class_name}: called on {type(tensor).__name__}; expected the result of Input() or of a "
                    f"layer (to compute with arrays, use multilstm.run)"
                )
        if states and not self.state_count:
            raise SpecError(f"{self.class_name}: it has no state, so that initial_state means nothing; leave it out")
        if states and len(states) != self.state_count:
            each = ", for each direction" if len(self.recurrent) > 1 else ""
            raise SpecError(
                f"{self.class_name}: initial_state has {len(states)} tensors, expected {self.state_count} "
                f"({listed(dict.fromkeys(self.state_names))}{each})"
            )
        call = object()
        outputs = [Tensor(self, tensors, states, index, call) for index in range(self.output_count)]
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def class_name(self) -> str:
        """The name of the class in messages."""
        return type(self).__name__

    @property
    def label(self) -> str:
        """The layer in messages: `LSTM 'lstm_1'`."""
        return self.class_name + (f" {shown(self.name)}" if self.name else "")

    @property
    def wrapped(self) -> Layer | None:
        """The layer inside a wrapper, whose arguments and weights the wrapper uses."""
        return None

    @property
    def nested(self) -> tuple[Layer, ...]:
        """This layer and the layers inside of it, from the outside in."""
        return (self, *(() if self.wrapped is None else self.wrapped.nested))

    @property
    def inner_model(self) -> InnerModel | None:
        """The model that a TimeDistributed applies to every timestep; None for any other layer."""
        return None

    def with_inner(self, change: Callable[[Layer], Layer]) -> Layer:
        """Return this layer with the layers directly inside of it changed; a layer without any is returned itself."""
        inner: dict[str, Any] = {} if self.wrapped is None else {"layer": change(self.wrapped)}
        return dataclasses.replace(self, **inner) if inner else self

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """The sizes of the tables that look up the values of the input."""
        return ()

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the tensors that `initial_state` takes and `return_state` returns, in order."""
        return ()

    @property
    def state_count(self) -> int:
        """The number of `state_names`."""
        return len(self.state_names)

    @property
    def output_count(self) -> int:
        """The number of tensors that a call returns."""
        return 1

    @property
    def masked_outputs(self) -> int:
        """The number of outputs, from the first, that carry the mask of `output_mask`; states never do."""
        return 1

    @property
    def mixes_timesteps(self) -> bool:
        """Whether a timestep of the output depends on several timesteps of the input, or on another one."""
        return False

    @property
    def statistics(self) -> tuple[str, ...]:
        """The weights that an update of training sets to statistics of its batches; they have no gradient."""
        return ()

    @property
    def activity(self) -> Regularizer | None:
        """The regularizer of the output, whose penalty for a batch, divided by its size, is added to the loss."""
        return None

    @property
    def recurrent(self) -> Mapping[str, Recurrent]:
        """The recurrent layers of this layer by direction; a recurrent layer itself has the empty name."""
        return {}

    @property
    def behaviour(self) -> tuple[str, ...]:
        """Phrases of the summary that state the meaning of the arguments."""
        return ()

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """Return the shapes of the tensors that a call returns, the batch included.

        Args:
            *inputs: the shapes of the inputs.

        Raises:
            SpecError: for a number, a rank or a size of inputs that the layer cannot take.
        """
        if len(inputs) != 1:
            given = f"it takes one input, given {len(inputs)}" if inputs else "it was called without an input"
            raise SpecError(f"{self.label}: {given}")
        return self._output_shapes(inputs[0])

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        """Return `output_shapes` for a layer that takes one input."""
        return (inputs,)

    def state_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        """Return the shapes of the states, in the order of `state_names`."""
        return ()

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight in Keras's layout and order; empty without weights.

        Args:
            inputs: the shape of the input, the batch included.
        """
        return {}

    def parameter_formula(self, inputs: Shape) -> str:
        """Return the parameter count in words and in numbers, `words = numbers`; empty without weights."""
        return ""

    def owner(self, weight: str) -> tuple[Layer, str]:
        """Return the layer that has the arguments of a weight, and their prefix.

        Args:
            weight: a name of `weight_shapes`: `recurrent_kernel`, `forward/bias`.

        Returns:
            The wrapped layer of a wrapper, else this layer; and `kernel`, `recurrent`, `bias` or `embeddings`.
        """
        return self, weight.removesuffix("_kernel")

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the outputs, boolean `[batch, timesteps]`, or None.

        Args:
            inputs: arrays of NumPy, JAX or PyTorch.
            masks: the mask of each input, or None.
        """
        return masks[0]

    def dropout_masks(self, name: str, inputs: Shape) -> Iterator[DropoutMask]:
        """Yield the dropout masks that one call needs in training.

        Args:
            name: the name of the layer, the beginning of the names of its masks.
            inputs: the shape of the input, the batch included.
        """
        yield from ()


@dataclasses.dataclass(frozen=True)
class InnerLayer(Argument):
    """The layer inside a wrapper, which Keras's JSON holds as a layer.

    Attributes:
        known: the classes that the wrapper takes.
    """

    known: tuple[type[Layer], ...] = ()


def inner_layer(*known: type[Layer]) -> InnerLayer:
    """Return the kind of the argument `layer` of a wrapper that takes the classes `known`."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, known):
            classes = listed(layer.__name__ for layer in known)
            raise ArgumentError(f"{name} must be of class {classes}, got {shown(value)}")
        return value

    return InnerLayer(check, known)
