"""A spec as a functional Keras model, plain or portable, that puts out too what every LSTM returns, and its states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from multilstm import keras_layers
from multilstm.engines.keras.dropout import GivenDropout, GivenLSTMDropout, mask_input
from multilstm.frameworks import private_apis
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.spec import LSTM, Bidirectional, Dropout, Graph, InputLayer, Layer, Ref, TimeDistributed
from multilstm.spec.arrays import State
from multilstm.spec.penalties import Regularizer, WeightFunction


class KerasModel:
    """A functional Keras model that takes given states and dropout masks, and shows what every LSTM does.

    Args:
        spec: the model.
        dtype: of its inputs; Keras's own default dtypes must be set to it.
        portable: whether layers come from multilstm.keras_layers where that has them.
        given: the stateless LSTMs that take their initial state as inputs.

    Attributes:
        model: the Keras model; its outputs are the spec's own, then `sequences`, then the pairs of `states`.
        inputs: the names of its inputs: the spec's own, `lstm.hidden` and `lstm.cell` of given states, and
            `mask.lstm.dropout` of dropout masks.
        outputs_count: how many outputs are the spec's own.
        sequences: the LSTMs of which what they return, a sequence or the last output, is an output.
        states: the LSTMs whose final states are outputs.
        stateful: the Keras layers that keep their states in variables, by LSTM.
        layers: the Keras layers by name.
        variables: the weights by `layer/weight`.
    """

    def __init__(self, spec: Graph, dtype: str, portable: bool, given: tuple[str, ...]) -> None:
        self.spec, self._dtype, self._portable, self._given = spec, dtype, portable, given
        self._build()
        self.stateful = self._stateful_layers()

    def _build(self) -> None:
        spec = self.spec
        self.layers = {
            str(layer.name): self._layer(layer) for layer in spec.layers if not isinstance(layer, InputLayer)
        }
        inputs: dict[str, Any] = {}
        sequences: dict[str, Any] = {}
        states: dict[str, Any] = {}
        tensors: dict[Ref, Any] = {}
        for name in self._given:
            batch, units = spec.state_shape(name)
            for part in State._fields:
                key = f"{name.replace('/', '.')}.{part}"
                inputs[key] = keras.Input(batch_shape=(batch, units), dtype=self._dtype, name=key)
        for index, call in enumerate(spec.calls):
            layer = spec.layer(call.layer)
            if isinstance(layer, InputLayer):
                dtype = "int32" if layer.dtype == "int32" else self._dtype
                tensors[Ref(index)] = inputs[call.layer] = keras.Input(
                    batch_shape=(layer.batch_size, *layer.shape), dtype=dtype, name=call.layer
                )
                continue
            given = [tensors[ref] for ref in call.inputs]
            masks = self._dropout_inputs(call.layer, inputs)
            if isinstance(layer, Dropout):
                given += masks.values()
            elif masks:
                given = [GivenLSTMDropout(self._receiver(tuple(masks)))([*given, *masks.values()])]
            arguments = {}
            initial = self._given_states(call.layer, inputs) or [tensors[ref] for ref in call.initial_state]
            if initial:
                arguments["initial_state"] = initial
            outputs = self.layers[call.layer](given if len(given) > 1 else given[0], **arguments)
            outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
            if isinstance(layer, (LSTM, Bidirectional)):
                self._probe(layer, outputs, sequences, states)
            tensors.update({Ref(index, number): output for number, output in enumerate(outputs)})
        self.inputs, self.sequences, self.states = list(inputs), list(sequences), list(states)
        self.outputs_count = len(spec.outputs)
        self.model = keras.Model(
            list(inputs.values()),
            [
                *(tensors[ref] for ref in spec.outputs),
                *sequences.values(),
                *(t for pair in states.values() for t in pair),
            ],
        )
        self.variables = {}
        for name, shapes in _weights_by_layer(spec.weight_shapes).items():
            for (key, shape), variable in zip(shapes.items(), self.layers[name].weights, strict=True):
                if tuple(variable.shape) != shape:
                    raise AssertionError(f"Keras built {key} with shape {variable.shape}, the spec says {shape}")
                self.variables[key] = variable

    def _layer(self, layer: Layer) -> Any:
        """The Keras layer of a spec's layer, returning its states too where it can."""
        if isinstance(layer, Dropout):
            return GivenDropout(name=layer.name) if layer.rate else keras.layers.Dropout(0.0, name=layer.name)
        unset = ("name", *layer.refused)  # what multilstm refuses stands at its default
        fields = [field.name for field in dataclasses.fields(layer) if field.name not in unset]
        arguments = {key: self._argument(key, getattr(layer, key)) for key in fields}
        # Every job brings its weights, and on JAX each initializer of each shape would be compiled.
        arguments.update({key: "zeros" for key in fields if key.endswith("_initializer")})
        if isinstance(layer, (Bidirectional, TimeDistributed)):
            arguments["layer"] = self._layer(layer.layer)
        if isinstance(layer, LSTM):
            arguments["return_state"] = layer.return_state or not layer.stateful
        name = type(layer).__name__
        source = keras_layers if self._portable and hasattr(keras_layers, name) else keras.layers
        return getattr(source, name)(**arguments, **({"name": layer.name} if layer.name else {}))

    def _argument(self, key: str, value: Any) -> Any:
        """The Keras regularizer or constraint of a spec's, or a portable activation; all else as it is."""
        if self._portable and key.endswith("activation"):
            return getattr(keras_layers.activations, value, value)
        if not isinstance(value, WeightFunction):
            return value
        plain = keras.regularizers if isinstance(value, Regularizer) else keras.constraints
        name = type(value).__name__
        source = keras_layers if self._portable and hasattr(keras_layers, name) else plain
        return getattr(source, name)(**dataclasses.asdict(value))

    def _dropout_inputs(self, layer: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the model that hold the dropout masks of a layer, by the name of the mask."""
        found = {}
        for name, _, shape in dropout_masks(self.spec):
            if name.split("/")[0] == layer:
                key = mask_input(name)
                if key not in inputs:
                    inputs[key] = keras.Input(batch_shape=shape, dtype=self._dtype, name=key)
                found[name] = inputs[key]
        return found

    def _receiver(self, masks: tuple[str, ...]) -> Callable[[list[Any]], None]:
        """What puts masks of those names where Keras keeps the ones that it draws, in the cells of their LSTMs."""

        def receive(tensors: list[Any]) -> None:
            for name, tensor in zip(masks, tensors, strict=True):
                lstm, _, kind = name.rpartition("/")
                private_apis.store_dropout_mask(self._lstm(lstm).cell, kind, tensor)

        return receive

    def _given_states(self, layer: str, inputs: Mapping[str, Any]) -> list[Any]:
        names = [name for name in self._given if name.split("/")[0] == layer]
        return [inputs[f"{name.replace('/', '.')}.{part}"] for name in names for part in State._fields]

    def _probe(
        self, layer: LSTM | Bidirectional, outputs: list[Any], sequences: dict[str, Any], states: dict[str, Any]
    ) -> None:
        name = str(layer.name)
        lstm = layer.layer if isinstance(layer, Bidirectional) else layer
        plain = layer.output_count - (layer.state_count if lstm.return_state else 0)
        if isinstance(layer, LSTM):
            sequences[name] = outputs[0]
        if not lstm.stateful:
            names = [key for key in self.spec.lstms if key.split("/")[0] == name]
            states.update({key: tuple(outputs[plain + 2 * i : plain + 2 * i + 2]) for i, key in enumerate(names)})

    def _stateful_layers(self) -> dict[str, Any]:
        return {name: self._lstm(name) for name, lstm in self.spec.lstms.items() if lstm.stateful}

    def _lstm(self, name: str) -> Any:
        """The Keras LSTM of that name in `Graph.lstms`."""
        layer, _, direction = name.partition("/")
        return getattr(self.layers[layer], f"{direction}_layer") if direction else self.layers[layer]


def _weights_by_layer(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, tuple[int, ...]]]:
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in shapes.items():
        found.setdefault(key.split("/")[0], {})[key] = shape
    return found
