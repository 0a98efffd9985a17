"""The model spec: a validated graph of layers, as flat frozen data that can be compared, written and sent.

A `Graph` holds its named layers and their calls in topological order. Every call names its inputs as
`Ref(call, output)`. Shapes, states and parameter counts follow from the graph without any framework.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from multilstm.errors import SpecError, listed, shown
from multilstm.random import check_seed, derived_seed
from multilstm.spec.arguments import SIZE_LIMIT, ArgumentError, check_name
from multilstm.spec.initial_state import check_initial_state
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import LSTM, InputLayer
from multilstm.spec.layers.opaque import OpaqueLayer
from multilstm.spec.layers.recurrent import Recurrent
from multilstm.spec.penalties import Constraint, OrthogonalRegularizer, Regularizer
from multilstm.spec.shapes import Shape, show

L = TypeVar("L")

__all__ = ["Call", "Graph", "Ref"]


@dataclasses.dataclass(frozen=True)
class Ref:
    """One tensor of a model: output number `output` of call number `call`, both from 0."""

    call: int
    output: int = 0


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer.

    Attributes:
        layer: the layer's name.
        inputs: the tensors that the call takes.
        initial_state: the tensors from which the states start; empty: zeros, or the carried states.
    """

    layer: str
    inputs: tuple[Ref, ...] = ()
    initial_state: tuple[Ref, ...] = ()


@dataclasses.dataclass(frozen=True, repr=False)
class Graph:
    """A model as flat data, made by `Model`, `Sequential` or `from_json`.

    Attributes:
        name: the model's name.
        layers: every layer once, with its name, input layers first where the graph has them first.
        calls: every use of a layer; the inputs of a call come before it.
        outputs: the tensors that the model returns.
        sequential: whether the model was written as a Sequential.
        input_order: the names of the input layers, in the order in which the model takes them.

    Raises:
        SpecError: for repeated names, no outputs, or shapes that do not fit.
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
            raise SpecError(f"model {shown(self.name)}: it has no outputs")
        _ = self.tensor_shapes, self.weight_shapes, self.regularizers  # each raises SpecError

    def __repr__(self) -> str:  # one line in a notebook; the fields of many layers are pages of text
        from multilstm.spec.summary import one_line

        return f"<{one_line(self)}>"

    def layer(self, name: str) -> Layer:
        """Return the layer of a name, or of a path such as `document/lstm` for a layer of a model inside."""
        first, _, rest = name.partition("/")
        if not rest:
            return self._by_name[first]
        inner = self._by_name[first].inner_model
        if inner is None:
            raise KeyError(name)
        return inner.model.layer(rest)

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
        return self.shapes_for({})

    def shapes_for(self, given: Mapping[str, Shape]) -> dict[Ref, Shape]:
        """Return the shape of every tensor for arrays of some shapes.

        Args:
            given: the shapes of arrays by input, the batch in front; an input that is left out has its own shape.

        Raises:
            SpecError: for sizes that a layer cannot take, such as fewer timesteps than its window.
        """
        shapes: dict[Ref, Shape] = {}
        for index, call in enumerate(self.calls):
            layer = self._by_name[call.layer]
            inputs = [shapes[ref] for ref in call.inputs]
            outputs = (given[call.layer],) if call.layer in given else layer.output_shapes(*inputs)
            for output, shape in enumerate(outputs):
                if any(size is not None and size >= SIZE_LIMIT for size in shape):
                    raise SpecError(f"{layer.label}: every size must be below 2**31, given an output {show(shape)}")
                shapes[Ref(index, output)] = shape
            check_initial_state(layer, [shapes[ref] for ref in call.initial_state], inputs)
        return shapes

    @cached_property
    def opaque(self) -> tuple[OpaqueLayer, ...]:
        """The layers that the spec does not describe, and Keras alone computes."""
        return tuple(layer for layer in self.layers if isinstance(layer, OpaqueLayer))

    @cached_property
    def output_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the model's outputs."""
        return tuple(self.tensor_shapes[ref] for ref in self.outputs)

    @cached_property
    def layer_inputs(self) -> dict[str, Shape]:
        """For every layer but the inputs: the shape of the first input of its first call."""
        shapes: dict[str, Shape] = {}
        for call in self.calls:
            if call.inputs:
                shapes.setdefault(call.layer, self.tensor_shapes[call.inputs[0]])
        return shapes

    @cached_property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every weight as `layer/weight`, in Keras's layout and order, with its shape."""
        shapes: dict[str, tuple[int, ...]] = {}
        for call in self.calls:
            layer = self._by_name[call.layer]
            if not call.inputs:
                continue
            for name, shape in layer.weight_shapes(self.tensor_shapes[call.inputs[0]]).items():
                key = f"{call.layer}/{name}"
                if shapes.setdefault(key, shape) != shape:
                    raise SpecError(
                        f"{layer.label}: it is shared by inputs of different features; its {name} would be "
                        f"{show(shapes[key])} and {show(shape)}"
                    )
        return shapes

    @cached_property
    def parameter_counts(self) -> dict[str, int]:
        """The parameter count of every layer, by name; it does not depend on batch or timesteps."""
        counts = dict.fromkeys(self.layer_inputs, 0)
        for weight, shape in self.weight_shapes.items():
            counts[weight.split("/")[0]] += math.prod(shape)
        return counts

    @property
    def parameter_count(self) -> int:
        """The number of numbers in all weights, trained or not."""
        return sum(self.parameter_counts.values())

    @cached_property
    def trainable_weights(self) -> tuple[str, ...]:
        """The weights that an optimizer changes, as `layer/weight`; the others have no gradient and no slots."""
        owners = {name: self.owner(name)[0] for name in self.weight_shapes}
        return tuple(name for name, layer in owners.items() if layer.trainable and name not in self.statistics)

    @cached_property
    def statistics(self) -> tuple[str, ...]:
        """The weights that an update sets to statistics of its batches, as `layer/weight`."""
        return tuple(name for name in self.weight_shapes if name.rpartition("/")[2] in self.owner(name)[0].statistics)

    def sources(self, states: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the inputs and initial states with respect to which a loss is differentiated.

        Args:
            states: the recurrent layers whose initial states are given.

        Returns:
            The inputs of floats, and the layers of `states` that are not stateful: states that are carried from batch
            to batch are not differentiated.
        """
        inputs = [name for name, layer in self.inputs.items() if layer.dtype != "int32"]
        return inputs, [name for name in states if not self.recurrent[name].stateful]

    @cached_property
    def regularizers(self) -> dict[str, Regularizer]:
        """The regularizers by `layer/weight`; as in Keras, a weight that is not trained adds nothing to the loss."""
        regularizers = self._arguments("regularizer")
        for name, regularizer in regularizers.items():
            if isinstance(regularizer, OrthogonalRegularizer):
                regularizer.check_shape(f"weight {shown(name)}", self.weight_shapes[name])
        return regularizers

    @cached_property
    def constraints(self) -> dict[str, Constraint]:
        """The constraints of trained weights by `layer/weight`; each acts after a step of the optimizer."""
        return self._arguments("constraint")

    def penalty(self, weights: Mapping[str, Any]) -> Any:
        """Return the sum of all regularizers' penalties, which is added to the loss.

        Args:
            weights: every weight by `layer/weight`, as arrays of NumPy, JAX or PyTorch.

        Returns:
            A scalar of the weights' kind of array, or 0 without regularizers.
        """
        return sum(regularizer(weights[name]) for name, regularizer in self.regularizers.items())

    def owner(self, weight: str) -> tuple[Layer, str]:
        """Return the layer that has the arguments of the weight `layer/weight`, and their prefix: see `Layer.owner`."""
        layer, _, name = weight.partition("/")
        return self._by_name[layer].owner(name)

    def _arguments(self, kind: str) -> dict[str, Any]:
        """Return the arguments `*_{kind}` of all trained weights, by `layer/weight`."""
        owners = {name: self.owner(name) for name in self.trainable_weights}
        arguments = {name: getattr(layer, f"{prefix}_{kind}") for name, (layer, prefix) in owners.items()}
        return {name: value for name, value in arguments.items() if value is not None}

    def readers(self, kind: type[L]) -> dict[str, list[L]]:
        """Return the layers of one class that read an input of the model directly, by the name of the input.

        A layer inside of a wrapper is one of them.
        """
        layers: dict[str, list[L]] = {}
        for call in self.calls:
            layer = self.layer(call.layer)
            inside = layer.inner_model
            layer = layer.wrapped or layer
            found: list[L] = [layer] if isinstance(layer, kind) else []
            if inside is not None:
                found += inside.model.readers(kind).get(inside.source, [])
            source = self.calls[call.inputs[0].call].layer if call.inputs else ""
            if found and source in self.inputs:
                layers.setdefault(source, []).extend(found)
        return layers

    @cached_property
    def token_tables(self) -> dict[str, list[int]]:
        """The sizes of the tables that look values of an input up, also through layers that only move values."""
        sources: list[set[str]] = []
        tables: dict[str, list[int]] = {}
        for call in self.calls:
            layer = self.layer(call.layer)
            read = {name for ref in call.inputs for name in sources[ref.call]}
            part = layer.wrapped or layer
            sources.append({call.layer} if call.layer in self.inputs else read if part.moves_values else set())
            for name in read if layer.table_sizes else ():
                tables.setdefault(name, []).extend(layer.table_sizes)
        return tables

    @cached_property
    def recurrent(self) -> dict[str, Recurrent]:
        """Every recurrent layer by the name of its states: `lstm`, or `bidirectional/forward` and `.../backward`."""
        return {
            f"{layer.name}/{direction}".removesuffix("/"): part
            for layer in self.layers
            for direction, part in layer.recurrent.items()
        }

    @cached_property
    def lstms(self) -> dict[str, LSTM]:
        """The LSTMs among `recurrent`."""
        return {name: layer for name, layer in self.recurrent.items() if isinstance(layer, LSTM)}

    def state_shape(self, name: str, batch: int | None = None) -> Shape:
        """Return the shape of each state of a recurrent layer, such as `[batch, units]`.

        Args:
            name: a name of `recurrent`.
            batch: the number of sequences; None: the number that the spec fixes, or None.
        """
        fixed, *others = self.layer_inputs[name.split("/")[0]]
        return self.recurrent[name].state_shapes((fixed if batch is None else batch, *others))[0]

    def with_sizes(self, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
        """Return the model with the sizes of given inputs in place of those that may vary.

        Args:
            shapes: the shape of every input by name, the batch included.

        Raises:
            SpecError: for shapes that do not fit.
        """
        layers = tuple(
            dataclasses.replace(layer, batch_size=shapes[name][0], shape=tuple(shapes[name][1:]))
            if isinstance(layer, InputLayer) and (name := str(layer.name)) in shapes
            else layer
            for layer in self.layers
        )
        return dataclasses.replace(self, layers=layers)

    def with_open_sizes(self, batch: int, timesteps: int) -> Graph:
        """Return the model for one size of batch, in which no dimension of an input is open.

        Args:
            batch: the number of sequences.
            timesteps: the size of every dimension that an input leaves open.

        Raises:
            SpecError: for too few timesteps: a window of a layer needs more.
        """
        inputs = self.inputs.items()
        return self.with_sizes(
            {name: (batch, *(timesteps if size is None else size for size in layer.shape)) for name, layer in inputs}
        )

    def with_layers(self, change: Callable[[Layer], Layer]) -> Graph:
        """Return the model with every layer changed; the layer inside a wrapper is changed before the wrapper.

        Args:
            change: returns the new layer, of the same name.

        Raises:
            SpecError: for layers that do not fit.
        """

        def changed(layer: Layer) -> Layer:
            return change(layer.with_inner(changed))

        return dataclasses.replace(self, layers=tuple(map(changed, self.layers)))

    def with_seeds(self, seed: int) -> Graph:
        """Return the model with a seed for every layer that drops, derived from one seed and the layer's name.

        Args:
            seed: from 0 to 2**31 - 1.

        Raises:
            InputError: for another seed.
        """
        check_seed("with_seeds", seed)

        def seeded(layer: Layer, name: str) -> Layer:
            if layer.wrapped is not None:
                return layer.with_inner(lambda inner: seeded(inner, name))
            drops = any(True for _ in layer.dropout_masks(name, (None, None, 1)))
            changed: dict[str, Any] = {"seed": derived_seed(seed, name)} if drops else {}
            return dataclasses.replace(layer, **changed)

        return dataclasses.replace(self, layers=tuple(seeded(layer, str(layer.name)) for layer in self.layers))

    def summary(self) -> str:
        """Return the model as text, at most 80 columns: shapes, parameters with their formula, states."""
        from multilstm.spec.summary import summary

        return summary(self)

    def to_json(self) -> str:
        """Return the model as Keras 3's own JSON, which `keras.models.model_from_json` reads."""
        from multilstm.spec.keras_json.model import to_json

        return to_json(self)
