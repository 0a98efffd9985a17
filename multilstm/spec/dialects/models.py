"""Models of Keras, translated layer by layer and call by call, with the layers of models inside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from multilstm.errors import listed, shown
from multilstm.spec.dialects.entries import (
    class_name,
    config_of_entry,
    is_model,
    layer_list,
    merge_layer,
    model_of,
    stays_model,
    written_class,
)
from multilstm.spec.dialects.functional import FileGraph
from multilstm.spec.dialects.inner_models import distributed_part, models_inside, without_dropout
from multilstm.spec.dialects.layers import DEPTH_LIMIT
from multilstm.spec.dialects.networks import History, Network, Node, Part, config_of, is_chain
from multilstm.spec.json_values import MODELS, as_dict, refuse

__all__ = ["ModelTranslator"]

_SHAPES = ("batch_shape", "batch_input_shape", "input_shape", "input_dim")


class Layers(Protocol):
    """The translator of the layers of one file: see `LayerTranslator`."""

    notes: dict[str, None]

    def layer(self, entry: Any, where: str, depth: int = 0) -> dict[str, Any]:
        """Return the entry of Keras 3 for an entry of the file."""
        ...


class ModelTranslator:
    """Translates the model of one file.

    Attributes:
        layers: the translator of its layers.
        places: the places in the file of the layers of a graph, by name.
        parts: the layers and models in the order of the file.
    """

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.places: Mapping[str, str] = {}
        self.parts: tuple[Part, ...] = ()

    def model(self, entry: Mapping[str, Any], where: str = "", depth: int = 0) -> dict[str, Any]:
        """Return the model as Keras 3's JSON has it.

        Args:
            entry: the model in the file.
            where: the beginning of the places of its layers.
            depth: the number of models and wrappers around it.
        """
        is_sequential, config = entry["class_name"] == "Sequential", config_of_entry(entry, f"{where}the model")
        title = config.get("name", "sequential" if is_sequential else "model")
        kept = {key: config[key] for key in ("trainable", "dtype", "build_input_shape") if key in config}
        entries = layer_list(config.get("layers"), f"{where}layers of {entry['class_name']}")
        if is_sequential and not any(models_inside(entries)) and not any(class_name(x) == "Merge" for x in entries):
            layers = [self.layers.layer(layer, f"{where}layer {number}", depth) for number, layer in enumerate(entries)]
            second = {layer["class_name"] for layer in layers[1:2]}
            if depth or any("written" in layer for layer in layers):
                named = zip((layer["config"].get("name") for layer in layers), entries, strict=True)
                self.parts = tuple(Part(str(name), str(written_class(layer))) for name, layer in named)
            _set_token_dtypes(layers[:1], {layers[0]["config"].get("name"): second})
            return {"class_name": "Sequential", "config": {**kept, "name": title, "layers": layers}}
        network = self._network(entry, where, depth)
        self.places, self.parts = network.places, tuple(network.parts)
        _set_token_dtypes(network.entries.values(), network.readers())
        if is_sequential and is_chain(network):
            return {
                "class_name": "Sequential",
                "config": {**kept, "name": title, "layers": [*network.entries.values()]},
            }
        return {"class_name": "Functional", "config": {**kept, "name": title, **config_of(network)}}

    def _network(self, entry: Mapping[str, Any], where: str, depth: int) -> Network:
        """Return a model as a network; `where` is the beginning of the places of its layers."""
        if depth > DEPTH_LIMIT:
            refuse(f"{where}the model", depth, f"at most {DEPTH_LIMIT} models inside one another")
        if class_name(entry) == "TimeDistributed":
            return self._distributed(entry, where, depth)
        config = config_of_entry(entry, f"{where}the model")
        read = self._sequential if entry["class_name"] == "Sequential" else self._functional
        network = read(config, where, depth)
        if depth and config.get("trainable", True) is False:
            network.freeze()
        return network

    def _distributed(self, entry: Mapping[str, Any], where: str, depth: int) -> Network:
        """Return the layers of a model inside TimeDistributed, each in a TimeDistributed of its own."""
        model, config = model_of(entry), config_of_entry(entry, f"{where}TimeDistributed")
        network = self._network(model, f"{where}layer of TimeDistributed: ", depth + 1)
        if len(network.inputs) != 1 or len(network.outputs) != 1:
            ends = f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
            refuse(f"{where}model inside TimeDistributed", ends, "one input and one output")
        network.distribute(config.get("batch_input_shape", config.get("batch_shape")))
        network.parts = [Part(_title(model), model["class_name"], tuple(network.parts))]
        if config.get("trainable", True) is False:
            network.freeze()
        return network

    def _add_distributed(
        self, network: Network, entry: Mapping[str, Any], place: str, depth: int, nodes: Sequence[Node]
    ) -> str:
        """Add a TimeDistributed whose model stays a model, and return its name."""
        translator = ModelTranslator(self.layers)
        name = network.add(self._around_model(entry, translator, place, depth), place, nodes)
        network.parts.append(distributed_part(entry, name, translator.parts))
        return name

    def _around_model(
        self, entry: Mapping[str, Any], translator: ModelTranslator, place: str, depth: int
    ) -> dict[str, Any]:
        """Return the entry of a TimeDistributed, whose model `translator` translates."""
        if depth > DEPTH_LIMIT:
            refuse(place, depth, f"at most {DEPTH_LIMIT} models inside one another")
        config = config_of_entry(entry, place)
        where = f"{place}: layer of TimeDistributed"
        if class_name(config["layer"]) == "TimeDistributed":
            inner = self._around_model(config["layer"], translator, where, depth + 1)
        else:
            model = translator.model(config["layer"], f"{where}: ", depth + 1)
            inner = without_dropout(model, where, self.layers.notes)
        trainable = config.get("trainable", True)
        trainable = bool(trainable) if trainable in (0, 1) else trainable
        if trainable is False:
            inner["config"] = {**inner["config"], "trainable": False}
        named = {"name": config["name"]} if "name" in config else {}
        shape = {"batch_shape": config.get("batch_input_shape", config.get("batch_shape"))}
        return {
            "class_name": "TimeDistributed",
            "config": {**named, **shape, "trainable": trainable, "layer": inner},
        }

    # --- Sequential

    def _sequential(self, config: Mapping[str, Any], where: str, depth: int) -> Network:
        entries = layer_list(config.get("layers"), f"{where}layers of Sequential")
        network = Network(reserved=_names(entries))
        first, built = entries[0], config.get("build_input_shape")
        brings_inputs = is_model(first) and written_class(first) != "RNN"
        if built is not None and not brings_inputs and class_name(first) not in ("InputLayer", "Merge"):
            inside = config_of_entry(as_dict(first, f"{where}layer 0"), f"{where}layer 0")
            if not any(inside.get(key) is not None for key in _SHAPES):
                source = {"class_name": "InputLayer", "config": {"batch_shape": built}}
                self._append(network, source, f"{where}the input", None)
        for number, entry in enumerate(entries):
            place = f"{where}layer {number}"
            if class_name(entry) == "Merge":
                self._merge_of_models(network, entry, place, depth)
            elif is_model(entry):
                self._append_model(network, entry, place, depth)
            elif stays_model(entry):
                self._append_input(network, entry, place)
                name = self._add_distributed(network, entry, place, depth, [Node.of(network.outputs)])
                network.outputs = [History(name, 0, 0)]
            else:
                self._append(network, self.layers.layer(entry, place, depth), place, written_class(entry))
        return network

    def _append(self, network: Network, entry: dict[str, Any], place: str, written: Any) -> None:
        """Add a layer that reads the last output; before the first one, its input."""
        if entry["class_name"] == "InputLayer":
            if network.entries:
                refuse(place, "an InputLayer after another layer", "one at the beginning of a Sequential")
            network.outputs = [History(network.add(entry, place, written=written), 0, 0)]
            network.inputs = list(network.outputs)
            return
        self._append_input(network, entry, place)
        name = network.add(entry, place, [Node.of(network.outputs)], written)
        network.outputs = [History(name, 0, 0)]

    def _append_input(self, network: Network, entry: Mapping[str, Any], place: str) -> None:
        """Add the input that the first layer brings with it; nothing after another layer."""
        if network.entries:
            return
        config = config_of_entry(entry, place)
        name = config.get("name")
        shape = {"batch_shape": config.get("batch_shape", config.get("batch_input_shape"))}
        title = {"name": f"{name}_input"} if isinstance(name, str) else {}
        self._append(network, {"class_name": "InputLayer", "config": {**shape, **title}}, place, None)

    def _append_model(self, network: Network, entry: Mapping[str, Any], place: str, depth: int) -> None:
        """Add the layers of a model that reads the last output, or is the first layer and brings its own inputs."""
        title, child = self._child(entry, place, depth)
        if not network.entries:
            names = self._names(network, child, title, inputs=True)
            network.outputs = network.start_with(child, names)
        elif len(child.inputs) != 1:
            refuse(f"{place}: inputs of the model inside", len(child.inputs), "1 in the middle of a Sequential")
        else:
            names = self._names(network, child, title)
            (network.outputs,) = network.inline(child, names, [Node.of(network.outputs)])
        network.parts.append(Part(title, written_class(entry), tuple(child.parts)).renamed(names))
        if len(network.outputs) != 1:
            refuse(f"{place}: outputs of the model inside", len(network.outputs), "1 in a Sequential")

    def _merge_of_models(self, network: Network, entry: Mapping[str, Any], place: str, depth: int) -> None:
        """Add the first layer of Keras 0 and 1 that merges the outputs of several models."""
        config = config_of_entry(entry, place)
        branches = []
        for number, branch in enumerate(layer_list(config.get("layers"), f"{place} (Merge): layers")):
            where = f"{place} (Merge), model {number}"
            if network.outputs or not is_model(branch):
                refuse(where, class_name(branch), f"one of {listed(MODELS)}, in the first layer of a Sequential")
            title, child = self._child(branch, where, depth)
            names = self._names(network, child, title, inputs=True)
            branches += network.start_with(child, names)
            network.parts.append(Part(title, branch["class_name"], tuple(child.parts)).renamed(names))
        name = network.add(merge_layer(entry, place), place, [Node.of(branches)], "Merge")
        network.outputs = [History(name, 0, 0)]

    def _child(self, entry: Mapping[str, Any], place: str, depth: int) -> tuple[str, Network]:
        title = _title(entry)
        child = self._network(entry, f"{place}: ", depth + 1)
        self.layers.notes[f"the layers of the model {shown(title)} are read as layers of the whole model"] = None
        return title, child

    def _names(self, network: Network, child: Network, title: str, inputs: bool = False) -> dict[str, str]:
        """Return the names of the layers of a model inside, and note those that are new."""
        names = network.names_for(child, title, inputs)
        for old, new in names.items():
            if old != new:
                self.layers.notes[f"layer {shown(old)} of the model {shown(title)} has the name {shown(new)} here"] = (
                    None
                )
        return names

    # --- Functional

    def _functional(self, config: Mapping[str, Any], where: str, depth: int) -> Network:
        """Return a graph of layers, with the models among them replaced by their layers."""
        graph = FileGraph(config, where)
        network = Network(reserved={name for name, entry in graph.entries.items() if not is_model(entry)})
        for name, entry in graph.entries.items():
            if is_model(entry):
                title, child = self._child(entry, graph.places[name], depth)
                graph.children[name] = (child, self._names(network, child, title))
        for name, entry in graph.entries.items():
            calls, place = graph.calls(name), graph.places[name]
            if name in graph.children:
                child, names = graph.children[name]
                network.inline(child, names, calls)
                network.parts.append(Part(name, written_class(entry), tuple(child.parts)).renamed(names))
            elif stays_model(entry):
                named = {**entry, "config": {**config_of_entry(entry, place), "name": name}}
                self._add_distributed(network, named, place, depth, calls)
            else:
                is_merge = class_name(entry) == "Merge"
                translated = merge_layer(entry, place) if is_merge else self.layers.layer(entry, place, depth)
                translated["config"] = {**translated["config"], "name": name}
                network.add(translated, place, calls, written_class(entry))
        network.inputs, network.outputs = ([graph.find(end) for end in ends] for ends in graph.ends)
        return network


def _title(entry: Mapping[str, Any]) -> str:
    """Return the name of a model."""
    config = entry.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return name if isinstance(name, str) else str(entry.get("name", "model"))


def _names(entries: list[Any]) -> set[str]:
    """Return the names of the layers that are no models."""
    configs = [entry.get("config") for entry in entries if isinstance(entry, Mapping) and not is_model(entry)]
    names = [config.get("name") for config in configs if isinstance(config, Mapping)]
    return {name for name in names if isinstance(name, str)}


def _set_token_dtypes(entries: Iterable[dict[str, Any]], readers: Mapping[str, set[str]]) -> None:
    """Give the inputs that only Embeddings read the dtype of tokens: Keras 2 declares them as floats.

    Args:
        entries: the layers.
        readers: the classes that read each InputLayer, by its name.
    """
    for entry in entries:
        name = entry["config"].get("name")
        if entry["class_name"] == "InputLayer" and readers.get(name) == {"Embedding"}:
            entry["config"] = {**entry["config"], "dtype": "int32"}
