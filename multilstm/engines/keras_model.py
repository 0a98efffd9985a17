"""A spec as a functional Keras model, plain or portable, with the sequence and states of every LSTM as outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from multilstm import keras_layers
from multilstm.spec import LSTM, Bidirectional, Dropout, Graph, InputLayer, Layer, Ref, TimeDistributed
from multilstm.spec.penalties import Penalty, Regularizer
from multilstm.state import State


@keras.saving.register_keras_serializable(package="multilstm")
class GivenDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout whose mask is an input: multiplies by it in training, does nothing otherwise."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """`[values, mask]`, both of one shape, to that shape."""
        values, mask = inputs
        return values * mask if training else values

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the values."""
        return mask[0] if mask is not None else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the values."""
        return input_shape[0]


class KerasModel:
    """A functional Keras model that takes given states and dropout masks, and shows what every LSTM does.

    Args:
        spec: the model.
        dtype: of its inputs; Keras's own default dtypes must be set to it.
        portable: whether layers come from multilstm.keras_layers where that has them.
        given: the stateless LSTMs that take their initial state as inputs.

    Attributes:
        model: the Keras model; its outputs are the spec's own, then `sequences`, then the pairs of `states`.
        inputs: the names of its inputs: the spec's own, `lstm.hidden` and `lstm.cell` of given states, `dropout.mask`.
        outputs_count: how many outputs are the spec's own.
        sequences: the LSTMs whose sequences are outputs.
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
            if isinstance(layer, Dropout) and layer.rate:
                key = f"{call.layer}.mask"
                inputs[key] = keras.Input(batch_shape=(None,) * len(given[0].shape), dtype=self._dtype, name=key)
                given.append(inputs[key])
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
        arguments = {key: self._argument(getattr(layer, key)) for key in fields}
        # Every job brings its weights, and on JAX each initializer of each shape would be compiled.
        arguments.update({key: "zeros" for key in fields if key.endswith("_initializer")})
        if isinstance(layer, (Bidirectional, TimeDistributed)):
            arguments["layer"] = self._layer(layer.layer)
        if isinstance(layer, LSTM):
            arguments["return_state"] = layer.return_state or not layer.stateful
        name = type(layer).__name__
        source = keras_layers if self._portable and hasattr(keras_layers, name) else keras.layers
        return getattr(source, name)(**arguments, **({"name": layer.name} if layer.name else {}))

    def _argument(self, value: Any) -> Any:
        """The Keras regularizer or constraint of a spec's; all else as it is."""
        if not isinstance(value, Penalty):
            return value
        plain = keras.regularizers if isinstance(value, Regularizer) else keras.constraints
        name = type(value).__name__
        source = keras_layers if self._portable and hasattr(keras_layers, name) else plain
        return getattr(source, name)(**dataclasses.asdict(value))

    def _given_states(self, layer: str, inputs: Mapping[str, Any]) -> list[Any]:
        names = [name for name in self._given if name.split("/")[0] == layer]
        return [inputs[f"{name.replace('/', '.')}.{part}"] for name in names for part in State._fields]

    def _probe(
        self, layer: LSTM | Bidirectional, outputs: list[Any], sequences: dict[str, Any], states: dict[str, Any]
    ) -> None:
        name = str(layer.name)
        lstm = layer.layer if isinstance(layer, Bidirectional) else layer
        plain = layer.output_count - (layer.state_count if lstm.return_state else 0)
        if lstm.return_sequences and isinstance(layer, LSTM):
            sequences[name] = outputs[0]
        if not lstm.stateful:
            names = [key for key in self.spec.lstms if key.split("/")[0] == name]
            states.update({key: tuple(outputs[plain + 2 * i : plain + 2 * i + 2]) for i, key in enumerate(names)})

    def _stateful_layers(self) -> dict[str, Any]:
        found = {}
        for name, lstm in self.spec.lstms.items():
            if lstm.stateful:
                base, _, direction = name.partition("/")
                layer = self.layers[base]
                found[name] = getattr(layer, f"{direction}_layer") if direction else layer
        return found


def _weights_by_layer(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, tuple[int, ...]]]:
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in shapes.items():
        found.setdefault(key.split("/")[0], {})[key] = shape
    return found
