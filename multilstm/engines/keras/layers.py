"""Keras layers for the layers of a spec, one method a layer type, from the classes of one generation of Keras."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from multilstm.errors import UnsupportedError
from multilstm.spec import (
    ActivityRegularization,
    AlphaDropout,
    Bidirectional,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    GetItem,
    InputLayer,
    Layer,
    Ref,
    SpatialDropout1D,
    SpatialDropout2D,
    TimeDistributed,
)
from multilstm.spec.layers import InnerModel, Recurrent
from multilstm.spec.layers.opaque import OpaqueLayer


class AbstractToolkit(abc.ABC):
    """The classes of one generation of Keras, and the layers that they make for a spec.

    Attributes:
        keras: the package: `keras`, or `tf_keras`.
        given_dropout: the class of a dropout that takes its mask as an input.
        given_recurrent_dropout: the class of a layer that injects given masks into the recurrent layer that follows.
        minimum: the elementwise minimum of a tensor and a number.
        draws_dropout: whether the layers draw their masks from their seeds.
    """

    keras: Any
    given_dropout: Any
    given_recurrent_dropout: Any
    minimum: Callable[[Any, float], Any]
    draws_dropout: bool = False

    @abc.abstractmethod
    def find(self, module: str, name: str) -> Any:
        """Return the class of that name from a module of the package, such as `layers`."""

    @abc.abstractmethod
    def arguments(self, layer: Layer) -> dict[str, Any]:
        """Return the arguments of a layer, by the names and with the values that this generation takes."""

    @abc.abstractmethod
    def defaults(self, floatx: str, policy: str) -> contextlib.AbstractContextManager[None]:
        """Set the package's default dtypes inside the `with` block."""

    def part(self, tensor: Any, key: tuple[Any, ...]) -> Any:
        """Return `tensor[key]`, without a mask."""
        return tensor[key]

    @functools.singledispatchmethod
    def make(self, layer: Layer) -> Any:
        """Return the Keras layer for a layer of a spec."""
        return self._make(layer)

    @make.register(Dropout)
    @make.register(SpatialDropout1D)
    @make.register(SpatialDropout2D)
    def _(self, layer: Dropout | SpatialDropout1D | SpatialDropout2D) -> Any:
        """Return a layer that draws its mask or takes it as an input, or Keras's own where nothing is dropped."""
        if layer.rate and self.draws_dropout:
            return self.find("layers", type(layer).__name__)(layer.rate, seed=layer.seed, name=layer.name)
        if layer.rate:
            return self.given_dropout(name=layer.name)
        return self.keras.layers.Dropout(0.0, name=layer.name)

    @make.register(GaussianNoise)
    @make.register(GaussianDropout)
    @make.register(AlphaDropout)
    def _(self, layer: GaussianNoise | GaussianDropout | AlphaDropout) -> Any:
        """Return a layer that takes its noise as an input, or the identity where there is none."""
        if not any(layer.dropout_masks("", ())):
            return self.keras.layers.Dropout(0.0, name=layer.name)
        return self.given_dropout(name=layer.name, combine=functools.partial(self._with_noise, layer))

    def _with_noise(self, layer: Layer, values: Any, noise: Any) -> Any:
        """Return the values of a layer in training."""
        if isinstance(layer, GaussianNoise):
            return values + noise
        if isinstance(layer, AlphaDropout):
            kept = self.minimum(noise, 1.0)  # 0 or 1
            return layer.scale * (values * kept + layer.SATURATED * (1.0 - kept)) + layer.shift
        return values * noise

    @make.register
    def _(self, layer: ActivityRegularization) -> Any:
        """Return the identity with a regularizer; Keras's class of that name takes plain regularizers alone."""
        penalty = self.find("regularizers", "L1L2")(layer.l1, layer.l2)
        return self.keras.layers.Activation("linear", activity_regularizer=penalty, name=layer.name)

    @make.register
    def _(self, layer: Recurrent) -> Any:
        """Return a layer that returns its final states, unless it keeps them in variables."""
        return self._make(layer, return_state=layer.return_state or not layer.stateful)

    @make.register
    def _(self, layer: Bidirectional) -> Any:
        """Return a wrapper around the Keras layer of its inner layer."""
        return self._make(layer, layer=self.make(layer.layer))

    @make.register
    def _(self, layer: TimeDistributed) -> Any:
        """Return a wrapper around the Keras layer of its inner layer. A dropout needs none: its mask has timesteps."""
        inner = self._inside(layer.layer)
        if isinstance(inner, self.given_dropout):
            return self.make(dataclasses.replace(layer.layer, name=layer.name))
        return self._make(layer, layer=inner)

    @make.register
    def _(self, layer: InnerModel) -> Any:
        """Return a functional model."""
        graph = layer.model
        made = {name: self._inside(graph.layer(name)) for name in graph.layer_inputs}
        tensors: dict[Ref, Any] = {}
        for number, call in enumerate(graph.calls):
            part = graph.layer(call.layer)
            inputs = [tensors[ref] for ref in call.inputs]
            if isinstance(part, InputLayer):
                dtype = "int32" if part.dtype == "int32" else None  # None: the floatx of the job
                outputs = source = self.keras.Input(part.shape, dtype=dtype, name=part.name)
            else:
                outputs = made[call.layer](inputs[0] if len(inputs) == 1 else inputs)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            tensors |= {Ref(number, place): output for place, output in enumerate(outputs)}
        return self.keras.Model(source, tensors[graph.outputs[0]], name=graph.name)

    def _inside(self, layer: Layer) -> Any:
        """Return a layer inside of a TimeDistributed; a recurrent one, or a Bidirectional, returns its output alone."""
        if not layer.recurrent:
            return self.make(layer)
        if layer.wrapped is not None:
            return self._make(layer, layer=self._inside(layer.wrapped))
        return self._make(layer, return_state=False)

    @make.register
    def _(self, layer: OpaqueLayer) -> Any:
        """Return Keras's layer of the class and the arguments of the file, which the spec has checked."""
        kind = getattr(self.keras.layers, layer.keras_class, None)
        if kind is None:
            raise UnsupportedError(f"this Keras has no layer {layer.label}; leave the engine out")
        return kind.from_config({**layer.arguments, "name": layer.name, "trainable": layer.trainable})

    @make.register
    def _(self, layer: GetItem) -> Any:
        """Return the operation, which has no class among Keras's layers."""
        return OperationCall(lambda tensor: self.part(tensor, layer.index))

    def _make(self, layer: Layer, /, **replaced: Any) -> Any:
        """Return the Keras layer of the same class and arguments, except for the replaced arguments."""
        arguments = self.arguments(layer)
        if layer.name:
            arguments["name"] = layer.name
        return self.find("layers", type(layer).__name__)(**{**arguments, **replaced})


@dataclasses.dataclass(frozen=True)
class OperationCall:
    """An operation of Keras in the place of a layer: it has no weights.

    Attributes:
        function: computes the result of one tensor.
    """

    function: Callable[[Any], Any]
    weights: tuple[Any, ...] = ()

    def __call__(self, tensor: Any) -> Any:
        """Return the result of a tensor."""
        return self.function(tensor)

    def count_params(self) -> int:
        """Return the number of parameters, 0."""
        return 0


def arguments_of(layer: Layer) -> dict[str, Any]:
    """Return the arguments of a layer as the spec has them, except its name and those that have only a default.

    Initializers are zeros: every job brings its weights, and on JAX each initializer would be compiled for each shape.
    """
    unset = ("name", *layer.refused)  # a spec refuses every value but Keras's default
    names = [field.name for field in dataclasses.fields(layer) if field.name not in unset]
    return {name: "zeros" if name.endswith("_initializer") else getattr(layer, name) for name in names}
