"""The model spec: a validated graph of layers, as flat frozen data that can be compared, written and sent.

A `Model` holds its layers (all named), and their calls in topological order. Every call names the tensors that it
takes as `Ref(call, output)`. Shapes, states and parameter counts follow from it without any framework.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.arguments import SIZE_LIMIT, ArgumentError, check_name
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import LSTM, Input, InputLayer
from multilstm.spec.penalties import Constraint, OrthogonalRegularizer, Regularizer
from multilstm.spec.shapes import Shape, show

__all__ = ["Call", "Graph", "Model", "Ref", "Sequential"]


@dataclasses.dataclass(frozen=True)
class Ref:
    """One tensor of a model: output number `output` of call number `call`."""

    call: int
    output: int = 0


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer: which tensors it takes, and from which tensors its initial state comes (if any)."""

    layer: str
    inputs: tuple[Ref, ...] = ()
    initial_state: tuple[Ref, ...] = ()


@dataclasses.dataclass(frozen=True)
class Graph:
    """A model as flat data. Made by `Model` and `Sequential`, or from Keras's JSON by `from_json`.

    Attributes:
        name: the model's name.
        layers: every layer once, with its name, input layers first where the graph has them first.
        calls: every use of a layer, in an order in which all inputs of a call stand before it.
        outputs: the tensors that the model returns.
        sequential: whether it was written as a Sequential.
    """

    name: str
    layers: tuple[Layer, ...]
    calls: tuple[Call, ...]
    outputs: tuple[Ref, ...]
    sequential: bool = False
    input_order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            check_name("name", self.name)
        except ArgumentError as error:
            raise SpecError(f"model: {error}") from None
        counts = Counter(str(layer.name) for layer in self.layers)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            names = listed(map(shown, twice))
            raise SpecError(f"model {shown(self.name)}: layer names must be unique; given more than once: {names}")
        if not self.outputs:
            raise SpecError(f"model {self.name!r}: it has no outputs")
        _ = self.tensor_shapes, self.weight_shapes, self.regularizers  # raises SpecError where they do not fit

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {str(layer.name): layer for layer in self.layers}

    @cached_property
    def inputs(self) -> dict[str, InputLayer]:
        """The input layers by name, in the order in which the model takes them."""
        return {name: self._by_name[name] for name in self.input_order}  # type: ignore[misc]

    @cached_property
    def tensor_shapes(self) -> dict[Ref, Shape]:
        """The shape of every tensor, the batch in front; None where it may vary."""
        found: dict[Ref, Shape] = {}
        for index, call in enumerate(self.calls):
            layer = self._by_name[call.layer]
            inputs = [found[ref] for ref in call.inputs]
            for output, shape in enumerate(layer.output_shapes(*inputs)):
                if any(size is not None and size >= SIZE_LIMIT for size in shape):
                    raise SpecError(f"{layer.label}: every size must be below 2**31, given an output {show(shape)}")
                found[Ref(index, output)] = shape
            self._check_states(layer, call, [found[ref] for ref in call.initial_state], inputs)
        return found

    def _check_states(self, layer: Layer, call: Call, given: list[Shape], inputs: list[Shape]) -> None:
        if not given:
            return
        if len(given) != layer.state_count:
            raise SpecError(
                f"{layer.label}: initial_state has {len(given)} tensors, expected {layer.state_count or 'none'}"
            )
        for name, shape, expected in zip(layer.state_names, given, layer.state_shapes(inputs[0]), strict=True):
            if not _starts(shape, expected):
                raise SpecError(
                    f"{layer.label}: initial {name} state has shape {show(shape)}, expected {show(expected)}"
                )

    @cached_property
    def output_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the model's outputs."""
        return tuple(self.tensor_shapes[ref] for ref in self.outputs)

    @cached_property
    def layer_inputs(self) -> dict[str, Shape]:
        """For every layer but the inputs: the shape of the first input of its first call."""
        found: dict[str, Shape] = {}
        for call in self.calls:
            if call.inputs:
                found.setdefault(call.layer, self.tensor_shapes[call.inputs[0]])
        return found

    @cached_property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every weight as `layer/weight`, in Keras's layout and order, with its shape."""
        found: dict[str, tuple[int, ...]] = {}
        for call in self.calls:
            layer = self._by_name[call.layer]
            if not call.inputs:
                continue
            for name, shape in layer.weight_shapes(self.tensor_shapes[call.inputs[0]]).items():
                key = f"{call.layer}/{name}"
                if found.setdefault(key, shape) != shape:
                    raise SpecError(
                        f"{layer.label}: it is shared by inputs of different features; its {name} would be "
                        f"{show(found[key])} and {show(shape)}"
                    )
        return found

    @cached_property
    def parameter_counts(self) -> dict[str, int]:
        """The parameter count of every layer, by name; it does not depend on batch or timesteps."""
        counts = dict.fromkeys(self.layer_inputs, 0)
        for weight, shape in self.weight_shapes.items():
            counts[weight.split("/")[0]] += math.prod(shape)
        return counts

    @property
    def parameter_count(self) -> int:
        """How many numbers the model's weights hold, those that are not trained included."""
        return sum(self.parameter_counts.values())

    @cached_property
    def trainable_weights(self) -> tuple[str, ...]:
        """The weights that a training changes, as `layer/weight`; the others have no gradient and no slots."""
        return tuple(name for name in self.weight_shapes if self.owner(name)[0].trainable)

    def sources(self, states: Iterable[str]) -> tuple[list[str], list[str]]:
        """Of what, besides weights, a loss has a gradient.

        Args:
            states: the LSTMs whose initial states are given.

        Returns:
            The inputs that hold floats, and the LSTMs of `states` that are not stateful: what is carried from batch
            to batch is not differentiated.
        """
        inputs = [name for name, layer in self.inputs.items() if layer.dtype != "int32"]
        return inputs, [name for name in states if not self.lstms[name].stateful]

    @cached_property
    def regularizers(self) -> dict[str, Regularizer]:
        """The regularizers by `layer/weight`; as in Keras, a weight that is not trained adds nothing to the loss."""
        found = self._arguments("regularizer")
        for name, regularizer in found.items():
            if isinstance(regularizer, OrthogonalRegularizer):
                regularizer.check_shape(f"weight {name!r}", self.weight_shapes[name])
        return found

    @cached_property
    def constraints(self) -> dict[str, Constraint]:
        """What replaces a weight after each step of the optimizer, by `layer/weight`; only of weights that it steps."""
        return self._arguments("constraint")

    def penalty(self, weights: Mapping[str, Any]) -> Any:
        """What all regularizers add to the loss: a scalar of the weights' own kind of array, or 0 without any.

        Args:
            weights: every weight by `layer/weight`, as arrays of NumPy, JAX or PyTorch.
        """
        return sum(regularizer(weights[name]) for name, regularizer in self.regularizers.items())

    def owner(self, weight: str) -> tuple[Layer, str]:
        """The layer that has the arguments of the weight `layer/weight`, and how they begin: see `Layer.owner`."""
        layer, _, name = weight.partition("/")
        return self._by_name[layer].owner(name)

    def _arguments(self, kind: str) -> dict[str, Any]:
        """The arguments of a kind that the weights have, by `layer/weight`."""
        owners = {name: self.owner(name) for name in self.trainable_weights}
        found = {name: getattr(layer, f"{prefix}_{kind}") for name, (layer, prefix) in owners.items()}
        return {name: value for name, value in found.items() if value is not None}

    @cached_property
    def lstms(self) -> dict[str, LSTM]:
        """Every LSTM by the name of its states: `lstm`, or `bidirectional/forward` and `bidirectional/backward`."""
        return {
            f"{layer.name}/{direction}".removesuffix("/"): lstm
            for layer in self.layers
            for direction, lstm in layer.lstms.items()
        }

    def state_shape(self, name: str, batch: int | None = None) -> Shape:
        """The shape `[batch, units]` of the hidden state, and of the cell state, of the LSTM of that name."""
        fixed = self.layer_inputs[name.split("/")[0]][0]
        return (fixed if batch is None else batch, self.lstms[name].units)

    def summary(self) -> str:
        """The model as text, at most 80 columns: shapes, parameters with their formula, states."""
        from multilstm.spec.summary import summary

        return summary(self)

    def to_json(self) -> str:
        """The model as Keras 3's own JSON, which `keras.models.model_from_json` reads."""
        from multilstm.spec.keras_json import to_json

        return to_json(self)


def Model(  # noqa: N802 - Keras's name
    inputs: Tensor | Sequence[Tensor], outputs: Tensor | Sequence[Tensor], name: str = "model"
) -> Graph:
    """A functional model: everything between `inputs` and `outputs`.

    Args:
        inputs: what `Input` returned, one or several.
        outputs: what layers returned, one or several.
        name: the model's name.

    Raises:
        SpecError: where shapes do not fit, a name stands twice, or an output depends on a tensor outside `inputs`.
    """
    return _graph(_tensors(inputs), _tensors(outputs), name, sequential=False)


def Sequential(  # noqa: N802 - Keras's name
    layers: Iterable[Layer | Tensor],
    input_shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    input_dtype: str = "float32",
    name: str = "sequential",
) -> Graph:
    """A stack of layers.

    Args:
        layers: the layers, from the first to the last; the first may be an `Input(...)` instead of `input_shape`.
        input_shape: the input's shape without the batch, for example `(None, 5)`: any length, 5 features.
        batch_size: the fixed batch size that a stateful layer needs.
        input_dtype: `"int32"` where the first layer is an Embedding.
        name: the model's name.

    Raises:
        SpecError: where shapes do not fit, or no input shape was given.
    """
    stack: list[Any] = list(layers)
    if stack and isinstance(stack[0], (Tensor, InputLayer)):
        first = stack.pop(0)
        if input_shape is not None:
            raise SpecError("Sequential: the first layer is an Input, and input_shape was given too; give either")
        tensor = first(()) if isinstance(first, InputLayer) else first
    elif input_shape is None:
        raise SpecError("Sequential: input_shape is missing; expected for example input_shape=(None, 5)")
    else:
        tensor = Input(input_shape, batch_size, input_dtype)
    if not stack:
        raise SpecError("Sequential: it has no layers")
    source = tensor
    used: set[int] = set()
    for layer in stack:
        if not isinstance(layer, Layer) or isinstance(layer, InputLayer):
            raise SpecError(f"Sequential: expected layers of multilstm, given {layer!r}")
        if not isinstance(tensor, Tensor):
            raise SpecError("Sequential: a layer below the last returns several tensors; use Model for such a graph")
        if id(layer) in used:
            raise SpecError(
                f"Sequential: {layer.label} stands in it twice, which would share its weights; make a "
                f"second layer, or use Model to share"
            )
        used.add(id(layer))
        tensor = layer(tensor)
    return _graph([source], _tensors(tensor), name, sequential=True)


def _tensors(value: Tensor | Sequence[Tensor]) -> list[Tensor]:
    tensors: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise SpecError(f"Model: expected what Input() or a layer returns, given {tensor!r}")
    return tensors


def _graph(inputs: list[Tensor], outputs: list[Tensor], name: str, *, sequential: bool) -> Graph:
    order: list[Tensor] = []  # one tensor of every call, in topological order
    index: dict[int, int] = {}
    stack: list[tuple[Tensor, bool]] = [(tensor, False) for tensor in reversed([*inputs, *outputs])]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor.call) in index:
            continue
        if ready:
            index[id(tensor.call)] = len(order)
            order.append(tensor)
            continue
        stack.append((tensor, True))
        stack.extend((source, False) for source in reversed((*tensor.inputs, *tensor.initial_state)))
    known = {id(tensor.call) for tensor in inputs}
    for tensor in order:
        if isinstance(tensor.layer, InputLayer) and id(tensor.call) not in known:
            raise SpecError(
                f"model {name!r}: an output depends on an Input {tensor.layer.name!r} that is not in inputs; add it"
            )
    if len(known) < len(inputs):
        raise SpecError(f"model {name!r}: an Input was given twice; expected every Input once")
    for tensor in inputs:
        if not isinstance(tensor.layer, InputLayer):
            raise SpecError(f"model {name!r}: inputs must be what Input() returned, given a tensor of {tensor.layer!r}")
    named = _names(order)

    def refs(tensors: Iterable[Tensor]) -> tuple[Ref, ...]:
        return tuple(Ref(index[id(tensor.call)], tensor.index) for tensor in tensors)

    # By identity: two layers of one name must both arrive, for Graph to refuse them.
    layers = {id(t.layer): dataclasses.replace(t.layer, name=named[id(t.layer)]) for t in order}
    calls = tuple(Call(named[id(t.layer)], refs(t.inputs), refs(t.initial_state)) for t in order)
    return Graph(
        name, tuple(layers.values()), calls, refs(outputs), sequential, tuple(named[id(t.layer)] for t in inputs)
    )


def _snake_case(name: str) -> str:
    """Return the name that Keras makes from a class's (keras/src/utils/naming.py): `lstm`, `time_distributed`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _starts(state: Shape, expected: Shape) -> bool:
    """Whether a tensor of shape `state` may be an initial state; only the batch may vary."""
    batches = (state[:1], expected[:1])
    return (
        state[1:] == expected[1:] and len(state) == len(expected) and ((None,) in batches or batches[0] == batches[1])
    )


def _names(order: list[Tensor]) -> dict[int, str]:
    taken = {tensor.layer.name for tensor in order}
    named: dict[int, str] = {}
    numbers: Counter[str] = Counter()  # by base, the first that may be free
    for tensor in order:
        layer = tensor.layer
        if id(layer) in named:
            continue
        if layer.name is None:
            base = _snake_case(type(layer).__name__)
            while (name := f"{base}_{numbers[base]}" if numbers[base] else base) in taken:
                numbers[base] += 1
            taken.add(name)
            named[id(layer)] = name
        else:
            named[id(layer)] = layer.name
    return named
