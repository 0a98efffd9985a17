"""A model in the place of a layer, inside of a TimeDistributed: a sentence of words in a document of sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from multilstm.errors import InputError, SpecError, shown
from multilstm.spec.arguments import Argument, ArgumentError
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers.core import Embedding, Masking
from multilstm.spec.layers.opaque import OpaqueLayer
from multilstm.spec.shapes import Shape, show

if TYPE_CHECKING:
    from multilstm.spec.graph import Graph

__all__ = ["InnerModel", "as_layer", "makes_mask", "wrapper_count"]


def _check_graph(name: str, value: Any) -> Any:
    from multilstm.spec.graph import Graph

    if not isinstance(value, Graph):
        raise ArgumentError(f"{name} must be a Model or a Sequential, got {shown(value)}")
    if len(value.inputs) != 1 or len(value.outputs) != 1:
        ends = f"{len(value.inputs)} inputs and {len(value.outputs)} outputs"
        raise ArgumentError(f"{name} must have one input and one output, got {ends}")
    for layer in value.layers:
        if reason := _not_executed(layer):
            raise ArgumentError(
                f"{name} has {layer.label} with {reason}, which multilstm does not execute inside of a "
                f"TimeDistributed; leave it out"
            )
    if any(call.initial_state for call in value.calls):
        raise ArgumentError(
            f"{name} passes states between its layers, which multilstm does not execute inside of a TimeDistributed; "
            f"leave initial_state out"
        )
    return value


def _not_executed(layer: Layer) -> str:
    """Return the option of a layer that is not executed inside of a TimeDistributed; empty without one."""
    if isinstance(layer, OpaqueLayer):
        return "no spec"
    for option in ("stateful", "return_state"):
        if any(getattr(part, option) for part in layer.recurrent.values()):
            return f"{option}=True"
    if any(True for _ in layer.dropout_masks("", (None, None, None))):
        return "dropout or noise"
    if layer.statistics:
        return "statistics of batches"
    return "" if layer.activity is None else "an activity_regularizer"


@dataclasses.dataclass(frozen=True)
class InnerModel(Layer):
    """A model that a TimeDistributed applies to every timestep.

    Its layers make and use masks of its own timesteps, as an Embedding with `mask_zero` masks the words of a sentence.
    As in Keras, these masks do not leave the model. Its weights are named `layer/weight`, in the order of its calls.

    Attributes:
        graph: a model of one input and one output, without dropout, statistics of batches and states from outside.
    """

    graph: Annotated[Any, Argument(_check_graph)]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.graph.name)
        object.__setattr__(self, "trainable", any(self.graph.layer(name).trainable for name in self.graph.layer_inputs))

    @property
    def class_name(self) -> str:
        return "Model"

    @property
    def model(self) -> Graph:
        """The model."""
        graph: Graph = self.graph
        return graph

    @property
    def nested(self) -> tuple[Layer, ...]:
        return (self, *(part for layer in self.model.layers for part in layer.nested))

    @property
    def inner_model(self) -> InnerModel:
        return self

    @property
    def source(self) -> str:
        """The name of its input."""
        return self.model.input_order[0]

    @property
    def table_sizes(self) -> tuple[int, ...]:
        return tuple(self.model.token_tables.get(self.source, ()))

    @property
    def behaviour(self) -> tuple[str, ...]:
        layers = (self.model.layer(name).label for name in self.model.layer_inputs)
        return (f"the model {shown(self.name)} is {', '.join(layers)}", "masks of the model do not leave it")

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        expected = self.model.inputs[self.source].shape
        fits = len(inputs) == len(expected) + 1 and all(
            None in pair or pair[0] == pair[1] for pair in zip(inputs[1:], expected, strict=False)
        )
        if not fits:
            raise SpecError(f"{self.label}: its input is {show((None, *expected))}, given {show(inputs)}")
        return (self.model.shapes_for({self.source: inputs})[self.model.outputs[0]],)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return self.model.weight_shapes

    def parameter_formula(self, inputs: Shape) -> str:
        counts = {name: count for name, count in self.model.parameter_counts.items() if count}
        return f"{' + '.join(counts)} = {' + '.join(f'{count:,}' for count in counts.values())}" if counts else ""

    def owner(self, weight: str) -> tuple[Layer, str]:
        return self.model.owner(weight)

    def with_inner(self, change: Callable[[Layer], Layer]) -> InnerModel:
        return InnerModel(dataclasses.replace(self.model, layers=tuple(map(change, self.model.layers))))

    def check_mask(self, nested: bool) -> None:
        """Raise InputError for a mask of the timesteps of the TimeDistributed that would reach a layer inside.

        Keras gives the model one number of that mask for each sequence. A layer that makes a mask replaces it.

        Args:
            nested: whether there are two TimeDistributed around the model; Keras then refuses every mask.
        """
        calls = self.model.calls
        readers = [
            self.model.layer(call.layer)
            for call in calls
            if any(calls[ref.call].layer == self.source for ref in call.inputs)
        ]
        if nested or not all(map(makes_mask, readers)):
            raise InputError(
                f"{self.label}: the TimeDistributed around it gets a mask of timesteps, which Keras would give to "
                f"{' and '.join(layer.label for layer in readers)} inside; begin the model with a Masking or with an "
                f"Embedding of mask_zero=True, inside one TimeDistributed"
            )


def makes_mask(layer: Layer) -> bool:
    """Whether a layer makes a mask from the values of its input."""
    return isinstance(layer, Masking) or (isinstance(layer, Embedding) and layer.mask_zero)


def wrapper_count(layer: Layer) -> int:
    """Return the number of wrappers around the innermost layer or model of a layer."""
    return 0 if layer.wrapped is None else 1 + wrapper_count(layer.wrapped)


def as_layer(value: Any) -> Any:
    """Return a model as a layer, and any other value unchanged."""
    from multilstm.spec.graph import Graph

    return InnerModel(value) if isinstance(value, Graph) else value
