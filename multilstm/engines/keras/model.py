"""A functional Keras model for a spec, with all sequences and states of recurrent layers as extra outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from multilstm.engines.keras.dropout import mask_input
from multilstm.engines.keras.layers import AbstractToolkit
from multilstm.engines.keras.layout import OutputLayout, state_input
from multilstm.frameworks import private_keras
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.spec import Bidirectional, Graph, InputLayer, Layer, Ref
from multilstm.spec.graph import Call
from multilstm.spec.layers.opaque import OpaqueLayer
from multilstm.spec.shapes import Shape


class KerasModel:
    """A functional Keras model that takes initial states and dropout masks as inputs.

    Args:
        spec: the model.
        dtype: dtype of its inputs of floats; Keras's default dtypes must be set to it.
        toolkit: the classes of Keras.
        given_states: the stateless recurrent layers whose initial states are inputs.

    Attributes:
        model: the Keras model; its outputs are the spec's own, then those that `layout` names.
        inputs: names of its inputs: the spec's own, such as `lstm.hidden` and `lstm.cell` for given states, and
            `mask.lstm.dropout` of dropout masks.
        layers: the Keras layers by name.
        stateful: the Keras layers that keep their states in variables, by name.
        variables: the weights by `layer/weight`.
        seed_generators: those of the layers that draw dropout masks, with their seeds.
        layout: names of the outputs and gradients.
    """

    def __init__(self, spec: Graph, dtype: str, toolkit: AbstractToolkit, given_states: tuple[str, ...]) -> None:
        self.spec, self.given_states, self._dtype, self._toolkit = spec, given_states, dtype, toolkit
        layers = [layer for layer in spec.layers if not isinstance(layer, InputLayer)]
        self.layers = {str(layer.name): toolkit.make(layer) for layer in layers}
        self._inputs = {key: self._state_input(key, name) for key, name in self._state_names().items()}
        self._sequences: dict[str, Any] = {}
        self._states: dict[str, list[Any]] = {}
        tensors: dict[Ref, Any] = {}
        for index, call in enumerate(spec.calls):
            outputs = self._call(call, tensors)
            tensors.update({Ref(index, number): output for number, output in enumerate(outputs)})
        self.inputs = list(self._inputs)
        states = [tensor for tensors_of_layer in self._states.values() for tensor in tensors_of_layer]
        outputs = [*(tensors[ref] for ref in spec.outputs), *self._sequences.values(), *states]
        self.model = toolkit.keras.Model(list(self._inputs.values()), outputs)
        self.stateful = {name: self._part(name) for name, part in spec.recurrent.items() if part.stateful}
        self.variables = self._named_variables()
        self.seed_generators = self._seed_generators() if toolkit.draws_dropout else []
        self.layout = self._layout()

    # --- the graph

    def _call(self, call: Call, tensors: Mapping[Ref, Any]) -> list[Any]:
        """Return the outputs of one call of a layer."""
        layer = self.spec.layer(call.layer)
        if isinstance(layer, InputLayer):
            return [self._input(layer)]
        inputs = [tensors[ref] for ref in call.inputs]
        masks = self._mask_inputs(call.layer)
        if not layer.state_names:
            inputs += masks.values()
        elif masks:
            inject = self._toolkit.given_recurrent_dropout(self._store_masks(tuple(masks)))
            inputs = [inject([*inputs, *masks.values()])]
        initial = self._initial_state(call, tensors)
        arguments: dict[str, Any] = {"initial_state": initial} if initial else {}
        if isinstance(layer, OpaqueLayer):
            arguments = layer.call_arguments
        args = inputs if len(inputs) == 1 or (isinstance(layer, OpaqueLayer) and layer.is_positional) else [inputs]
        outputs = self.layers[call.layer](*args, **arguments)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        if layer.recurrent:
            self._note_returned(layer, outputs)
        return outputs

    def _input(self, layer: InputLayer) -> Any:
        dtype = "int32" if layer.dtype == "int32" else self._dtype
        name = str(layer.name)
        self._inputs[name] = self._keras_input(name, (layer.batch_size, *layer.shape), dtype)
        return self._inputs[name]

    def _state_names(self) -> dict[str, str]:
        """Return the layers with given states, by the names of these inputs."""
        fields = {name: self.spec.recurrent[name].state_names for name in self.given_states}
        return {state_input(name, field): name for name in self.given_states for field in fields[name]}

    def _state_input(self, key: str, name: str) -> Any:
        return self._keras_input(key, self.spec.state_shape(name), self._dtype)

    def _keras_input(self, name: str, shape: Shape, dtype: str) -> Any:
        return self._toolkit.keras.Input(batch_shape=shape, dtype=dtype, name=name)

    def _initial_state(self, call: Call, tensors: Mapping[Ref, Any]) -> list[Any]:
        """Return the initial states of a call: given ones, or those that the graph passes."""
        given = [self._inputs[key] for key, name in self._state_names().items() if name.split("/")[0] == call.layer]
        return given or [tensors[ref] for ref in call.initial_state]

    def _mask_inputs(self, layer: str) -> dict[str, Any]:
        """Return the inputs that hold the dropout masks of a layer, by the name of the mask."""
        inputs: dict[str, Any] = {}
        if self._toolkit.draws_dropout:
            return inputs
        for name, _, shape, *_ in dropout_masks(self.spec):
            if name.split("/")[0] == layer:
                key = mask_input(name)
                if key not in self._inputs:
                    self._inputs[key] = self._keras_input(key, shape, self._dtype)
                inputs[name] = self._inputs[key]
        return inputs

    def _store_masks(self, names: tuple[str, ...]) -> Callable[[list[Any]], None]:
        """Return a function that stores the named masks in the cells' mask caches."""

        def store(masks: list[Any]) -> None:
            for name, mask in zip(names, masks, strict=True):
                part, _, kind = name.rpartition("/")
                private_keras.store_dropout_mask(self._part(part).cell, kind, mask)

        return store

    def _note_returned(self, layer: Layer, outputs: list[Any]) -> None:
        """Note the return value and the final states of a recurrent layer as extra outputs."""
        name = str(layer.name)
        if not isinstance(layer, Bidirectional):
            self._sequences[name] = outputs[0]
        states = outputs[layer.masked_outputs :]
        for direction, part in layer.recurrent.items():
            if not part.stateful:
                self._states[f"{name}/{direction}".removesuffix("/")] = states[: part.state_count]
                states = states[part.state_count :]

    # --- the result

    def _part(self, name: str) -> Any:
        """Return the Keras layer of a name in `Graph.recurrent`."""
        layer, _, direction = name.partition("/")
        return getattr(self.layers[layer], f"{direction}_layer") if direction else self.layers[layer]

    def _named_variables(self) -> dict[str, Any]:
        """Return the weights by `layer/weight`.

        Raises:
            AssertionError: for a weight whose shape differs from the spec's.
        """
        variables = {}
        for layer in self.layers:
            shapes = {key: shape for key, shape in self.spec.weight_shapes.items() if key.split("/")[0] == layer}
            weights = weights_of(self.spec.layer(layer), self.layers[layer])
            for (key, shape), variable in zip(shapes.items(), weights, strict=True):
                if tuple(variable.shape) != shape:
                    raise AssertionError(f"Keras built {key} with shape {variable.shape}, the spec says {shape}")
                variables[key] = variable
        return {key: variables[key] for key in self.spec.weight_shapes}

    def _seed_generators(self) -> list[tuple[Any, int]]:
        layers = [layer for layer in private_keras.layers_inside(self.model) if hasattr(layer, "seed_generator")]
        return [(layer.seed_generator, layer.seed) for layer in layers if layer.seed is not None]

    def _layout(self) -> OutputLayout:
        names = {id(variable): name for name, variable in self.variables.items()}
        inputs, _ = self.spec.sources(())
        return OutputLayout(
            spec=self.spec,
            sequences=tuple(self._sequences),
            states=tuple(self._states),
            weights=tuple(names[id(variable)] for variable in self.model.trainable_variables),
            sources=tuple(key for key in self.inputs if key in inputs or key in self._state_names()),
            given_states=self.given_states,
        )


def weights_of(layer: Layer, made: Any) -> list[Any]:
    """Return the weights of a Keras layer in the order of the spec.

    Keras orders the layers of a model by their depth, so those of a model inside are found by their names.

    Args:
        layer: the layer.
        made: the Keras layer.
    """
    if layer.inner_model is None:
        return floats_of(made)
    if layer.wrapped is not None:
        return weights_of(layer.wrapped, made.layer)
    graph = layer.inner_model.model
    names = [name for name, count in graph.parameter_counts.items() if count]
    return [weight for name in names for weight in weights_of(graph.layer(name), made.get_layer(name))]


def floats_of(layer: Any) -> list[Any]:
    """Return the weights of a Keras layer without its counters, which are integers."""
    return [weight for weight in layer.weights if "int" not in str(weight.dtype)]
