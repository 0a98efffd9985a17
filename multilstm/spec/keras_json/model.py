"""Keras 3's JSON of a model, to and from a spec: data only, so that a file from a stranger is safe to read.

`from_json(to_json(spec)) == spec` for every spec that `Model` and `Sequential` make. `multilstm.json_data` parses the
text, and `layer.py` reads the layers. Keras's entries about compilation and building are ignored.

The format is that of `keras.Model.to_json` of Keras 3.0 to 3.15. Its sources are keras/src/models/functional.py and
keras/src/saving/serialization_lib.py. `multilstm.spec.dialects` translates that of Keras 0.3 to 2 first.
"""

from __future__ import annotations

import dataclasses
import graphlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.errors import InputError, SpecError, listed, shown
from multilstm.json_data import parse_json
from multilstm.spec.building import Model, Sequential
from multilstm.spec.dialects import Translated, keras3_config
from multilstm.spec.dialects.merged_masks import check_merged_masks, dropped_masks
from multilstm.spec.flow import Flow
from multilstm.spec.graph import Graph, Ref
from multilstm.spec.json_values import MODELS, as_dict, as_shape, class_of, is_operation, refuse
from multilstm.spec.keras_json.histories import History, Node, ends, histories
from multilstm.spec.keras_json.layer import SHAPES, check_dtype, read_layer, write_layer
from multilstm.spec.keras_json.masks import without_masks
from multilstm.spec.keras_json.opaque import TRAINING, Ask, PendingLayer, is_opaque, read_opaque, write_opaque
from multilstm.spec.keras_json.operations import Operation, read_operation, with_modules, written_operands
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import InputLayer
from multilstm.spec.layers.opaque import OpaqueLayer

__all__ = ["SIZE_LIMIT", "from_json", "read_json", "to_json"]

SIZE_LIMIT = 16 * 2**20  # characters; a thousand LSTM layers, as Keras writes them, are 2 million
ATTENTION_FLAGS = ("use_causal_mask", "return_attention_scores")
FLAGS = ("training", *ATTENTION_FLAGS)  # arguments of a call, which must be False


def to_json(graph: Graph) -> str:
    """Return the model as Keras 3's own JSON, which `keras.models.model_from_json` reads.

    Args:
        graph: any model.

    Returns:
        One line. Layer names, arguments and wiring are kept; dtypes are left to Keras's defaults.
    """
    return json.dumps(model_config(graph), allow_nan=False)


def model_config(graph: Graph) -> dict[str, Any]:
    """Return the data of `to_json`."""
    if graph.sequential:
        layers = [_written(layer) for layer in graph.layers]
        config = {"name": graph.name, "layers": layers}
        return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": _functional(graph),
        "registered_name": "Functional",
    }


def from_json(source: str | Mapping[str, Any], version: str | None = None) -> Graph:
    """Return the model that Keras's JSON describes. The optimizer and the loss of a compiled model are ignored.

    The meaning of an old file has notes, such as the default of another version. They are in `provenance.notes` of the
    result of `multilstm.load`, and not in this result.

    Args:
        source: the result of `keras.Model.to_json`, of Keras 0.3 to 3, or of `to_json`, or the same as a dict.
        version: the version of Keras that wrote it; None: the one that the JSON names, or that its form shows.

    Returns:
        The model; its weights are not in the JSON.

    Raises:
        SpecError: for text that is not JSON, and for a layer or argument that multilstm does not execute. The message
            names the place and the value.
    """
    return read_json(source, version)[0]


def read_json(
    source: str | Mapping[str, Any], version: str | None = None, ask: Ask | None = None
) -> tuple[Graph, Translated]:
    """Return the model of `from_json`, and the translation of its file, whose notes say what an old file means.

    Args:
        source: see `from_json`.
        version: see `from_json`.
        ask: returns Keras's answers about built-in layers that the spec does not describe; None: the JSON holds them.
    """
    model = as_dict(_parsed(source) if isinstance(source, str) else source, "the file")
    translated = keras3_config(model, version)
    try:
        graph = _read(translated.config, translated.places, ask)
        if not translated.version.startswith("3"):
            check_merged_masks(graph, translated.version)
        notes = (*translated.notes, *dropped_masks(graph, translated.version))
        return graph, dataclasses.replace(translated, notes=notes)
    except SpecError as error:
        words = set(re.findall(r"\w+", str(error)))
        renamed = [f"{old} for {new}" for new, old in translated.renamed.items() if new in words]
        if not renamed:
            raise
        text = f"{error} (the file, of Keras {shown(translated.version)}, has {listed(renamed)})"
        raise SpecError(text) from None


def read_model(entry: Mapping[str, Any]) -> Graph:
    """Return a model inside of a layer, in Keras 3's form, without models inside of it."""
    return _read(entry, {}, None)


def _read(model: Mapping[str, Any], places: Mapping[str, str], ask: Ask | None) -> Graph:
    name = class_of(model, MODELS, "the model")
    config = as_dict(model.get("config"), f"config of {name}")
    if not isinstance(config.get("trainable", True), bool):
        refuse(f"trainable of {name}", config["trainable"], "true or false")
    check_dtype(config.get("dtype"), name)
    entries = config.get("layers")
    if not isinstance(entries, (list, tuple)) or not entries:
        refuse(f"layers of {name}", entries, "a list of layers")
    title = config.get("name", "model")
    if not isinstance(title, str):
        refuse(f"name of {name}", title, "text")
    read = _read_sequential if name == "Sequential" else _read_functional
    graph = read(title, config, places, ask)
    if config.get("trainable", True):
        return graph
    return dataclasses.replace(graph, layers=tuple(_frozen(layer) for layer in graph.layers))


def _frozen(layer: Layer) -> Layer:
    """Return the layer untrained, as a layer of a model with `trainable=False`."""
    layer = layer.with_inner(_frozen)
    return layer if "trainable" in layer.refused else dataclasses.replace(layer, trainable=False)


def _functional(graph: Graph) -> dict[str, Any]:
    place: list[tuple[str, int]] = []  # for every call: its layer, and its number among that layer's calls
    nodes: dict[str, list[dict[str, Any]]] = {str(layer.name): [] for layer in graph.layers}
    seen = dict.fromkeys(nodes, 0)

    def history(ref: Ref) -> list[Any]:
        return [*place[ref.call], ref.output]

    def tensor(ref: Ref) -> dict[str, Any]:
        source = graph.layer(graph.calls[ref.call].layer)
        config = {
            "shape": list(graph.tensor_shapes[ref]),
            "dtype": source.dtype if isinstance(source, InputLayer) else "float32",
            "keras_history": history(ref),
        }
        return {"class_name": "__keras_tensor__", "config": config}

    for call in graph.calls:
        place.append((call.layer, seen[call.layer]))
        seen[call.layer] += 1
        if call.inputs:
            given = [tensor(ref) for ref in call.inputs]
            states = {"initial_state": [tensor(ref) for ref in call.initial_state]} if call.initial_state else {}
            layer = graph.layer(call.layer)
            args: list[Any] = [given] if len(given) > 1 else [*given, *written_operands(layer)]
            kwargs: dict[str, Any] = states
            if isinstance(layer, OpaqueLayer):
                args, kwargs = given if layer.is_positional else args, layer.call_arguments
            nodes[call.layer].append({"args": args, "kwargs": kwargs})
    inputs = [[name, 0, 0] for name in graph.input_order]
    outputs = [history(ref) for ref in graph.outputs]
    return {
        "name": graph.name,
        "layers": [
            {**_written(layer), "name": layer.name, "inbound_nodes": nodes[str(layer.name)]} for layer in graph.layers
        ],
        "input_layers": inputs if len(inputs) > 1 else inputs[0],
        "output_layers": outputs if len(outputs) > 1 else outputs[0],
    }


def _written(layer: Layer) -> dict[str, Any]:
    return write_opaque(layer) if isinstance(layer, OpaqueLayer) else write_layer(layer)


def _parsed(text: str) -> Any:
    try:
        return parse_json(text, SIZE_LIMIT)
    except InputError as error:
        raise SpecError(f"{error}; expected the result of keras.Model.to_json()") from None


def _place(entry: Any, number: int, places: Mapping[str, str]) -> str:
    """Return the place of a layer in the user's file."""
    config = entry.get("config") if isinstance(entry, Mapping) else None
    name = config.get("name") if isinstance(config, Mapping) else None
    return places.get(name, f"layer {number}") if isinstance(name, str) else f"layer {number}"


def _read_entry(entry: Any, place: str, ask: Ask | None) -> Layer | Operation | PendingLayer:
    return read_opaque(entry, place, ask) if is_opaque(entry) else read_layer(entry, place)


def _read_sequential(title: str, config: Mapping[str, Any], places: Mapping[str, str], ask: Ask | None) -> Graph:
    entries = enumerate(config["layers"])
    read = [_read_entry(entry, _place(entry, number, places), ask) for number, entry in entries]
    if isinstance(read[0], InputLayer):
        return Sequential(_resolved(read[0], read), name=title)
    first = config["layers"][0]["config"]
    shapes = [config.get("build_input_shape"), *(first.get(key) for key in SHAPES)]
    shape = next((as_shape(value, "build_input_shape") for value in shapes if value is not None), None)
    if shape is None:
        raise SpecError("Sequential: its input shape is missing; build the model before to_json(), or give it an Input")
    dtype = read[0].input_dtype if isinstance(read[0], Layer) else "float32"
    layers = _resolved(InputLayer(tuple(shape[1:]), shape[0], dtype), read)
    return Sequential(layers, input_shape=shape[1:], batch_size=shape[0], input_dtype=dtype, name=title)


def _resolved(source: InputLayer, read: Sequence[Layer | Operation | PendingLayer]) -> list[Layer]:
    """Return the layers of a stack; the shapes of opaque layers follow from the layers before them."""
    if not any(isinstance(layer, PendingLayer) for layer in read):
        return list(read)  # type: ignore[arg-type]
    flow, tensor = Flow(), source(())
    flow.add([tensor])
    layers: list[Layer] = []
    for layer in read:
        if isinstance(layer, InputLayer):
            layers.append(layer)
            continue
        result = layer(tensor) if isinstance(layer, Layer) else layer.call(0, [tensor], flow)
        outputs = [result] if isinstance(result, Tensor) else result
        layers.append(outputs[0].layer)
        flow.add(outputs)
        tensor = outputs[0]
    return layers


def _read_functional(title: str, config: Mapping[str, Any], places: Mapping[str, str], ask: Ask | None) -> Graph:
    config, masks = without_masks(with_modules(config))
    layers: dict[str, Layer | Operation | PendingLayer] = {}
    nodes: dict[Node, tuple[list[History], list[History]]] = {}
    for number, entry in enumerate(config["layers"]):
        place = _place(entry, number, places)
        layer = read_operation(entry, place) if is_operation(entry) else _read_entry(entry, place, ask)
        name = str(layer.name)
        if layer.name is None or name in layers:
            refuse(f"name of layer {number}", layer.name, "a name of its own")
        layers[name] = layer
        inbound = entry.get("inbound_nodes", [])
        if not isinstance(inbound, (list, tuple)) or (inbound and isinstance(layer, InputLayer)):
            refuse(f"layer {shown(name)}: inbound_nodes", inbound, "a list of its calls, empty for an InputLayer")
        if isinstance(layer, InputLayer):
            nodes[name, 0] = ([], [])
        for index, node in enumerate(inbound):
            nodes[name, index] = _node(node, layer, f"layer {shown(name)}, call {index}")
    tensors = _called(layers, nodes)
    masks.check(tensors)
    inputs = [_tensor(tensors, history) for history in ends(config.get("input_layers"), "input_layers")]
    outputs = [_tensor(tensors, history) for history in ends(config.get("output_layers"), "output_layers")]
    return Model(inputs, outputs, title)


def _called(
    layers: Mapping[str, Layer | Operation | PendingLayer], nodes: Mapping[Node, tuple[list[History], list[History]]]
) -> dict[Node, Any]:
    """Return the tensors of every call; the file may hold the calls in any order."""
    needs = {key: [history[0] for history in (*inputs, *states)] for key, (inputs, states) in nodes.items()}
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        names = sorted({name for name, _ in error.args[1]})
        raise SpecError(
            f"the layers {shown(names)} feed each other in a circle; expected a graph without one"
        ) from None
    tensors: dict[Node, Any] = {}
    flow = None if all(isinstance(layer, Layer) for layer in layers.values()) else Flow()
    for key in order:
        if key not in nodes:
            refuse("the graph uses call", key, "a layer of the file, and a call that it has")
        inputs, states = ([_tensor(tensors, history) for history in histories] for histories in nodes[key])
        layer = layers[key[0]]
        if isinstance(layer, Layer):
            returned = layer(inputs, states or None)
        else:
            assert flow is not None
            returned = layer.call(key[1], inputs, flow)
        tensors[key] = [returned] if isinstance(returned, Tensor) else returned
        if flow is not None:
            flow.add(tensors[key])
    return tensors


def _tensor(tensors: Mapping[Node, Any], history: History) -> Tensor:
    key, output = history
    if key not in tensors or not 0 <= output < len(tensors[key]):
        refuse("the graph uses tensor", history, "a layer, call and output that exist")
    tensor: Tensor = tensors[key][output]
    return tensor


def _node(node: Any, layer: Layer | Operation | PendingLayer, where: str) -> tuple[list[History], list[History]]:
    """Return the inputs and the initial states of one call."""
    if isinstance(node, (list, tuple)):
        refuse(where, node, "a dict with args and kwargs, as Keras 3 writes it (a list is Keras 2's)")
    node = as_dict(node, where)
    if not isinstance(layer, Layer):
        return layer.add_call(node), []
    args, kwargs = node.get("args"), as_dict(node.get("kwargs", {}), f"{where}: kwargs")
    for key, value in kwargs.items():
        if key == "initial_state" or value is None or (value is False and key in FLAGS):
            continue
        if key == "training":
            refuse(f"{where}: {key}", value, TRAINING)
        elif key in ATTENTION_FLAGS:
            refuse(f"{where}: {key}", value, "False; multilstm does not execute it yet; leave it out")
        else:
            refuse(f"{where}: {key}", value, "only initial_state (a model takes its mask with its inputs)")
    if not isinstance(args, (list, tuple)) or len(args) not in ((1, 2) if layer.state_count else (1,)):
        refuse(f"{where}: args", args, "a list of one tensor, or of one list of tensors")
    states = kwargs.get("initial_state") if len(args) == 1 else args[1]
    return histories(args[0], where), histories(states, f"{where}: initial_state") if states is not None else []
