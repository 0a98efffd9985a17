"""The forms that only Keras 0 wrote: arguments next to the class, and the class `Graph`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilstm.errors import shown
from multilstm.spec.json_values import as_dict, refuse

__all__ = ["keras1_form"]

_DTYPES = {"float": "float32", "int": "int32"}


def keras1_form(entry: Any) -> Any:
    """Return an entry of Keras 0, whose arguments stand next to its class, with `class_name` and `config`."""
    if isinstance(entry, Mapping) and entry.get("class_name") == "Graph":  # of Keras 1
        return _graph(as_dict(entry.get("config"), "config of Graph"))
    if not isinstance(entry, Mapping) or "class_name" in entry or not isinstance(entry.get("name"), str):
        return entry
    if entry["name"] == "Graph":
        return _graph(entry)
    config = {key: value for key, value in entry.items() if key != "name"}
    if "custom_name" in config:
        config["name"] = config["custom_name"]
    layers = config.get("layers")
    if isinstance(layers, list):
        config["layers"] = [keras1_form(layer) for layer in layers]
    return {"class_name": entry["name"], "config": config}


def _graph(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the functional model for a `Graph`, whose nodes name their inputs, and merge several of them.

    The format is that of keras/layers/containers.py of Keras 0.3.
    """
    layers = [_input(source) for source in _objects(config, "input_config")]
    nodes = as_dict(config.get("nodes"), "nodes of Graph")
    for node in _objects(config, "node_config"):
        name = _name(node, "node_config")
        layer = as_dict(keras1_form(nodes.get(name)), f"node {shown(name)} of Graph")
        inner = as_dict(layer.get("config"), f"node {shown(name)} of Graph: config")
        source = _source(node, f"merge_inputs_for_{name}", layers)
        layers.append({**layer, "name": name, "config": {**inner, "name": name}, "inbound_nodes": [[[source, 0, 0]]]})
    outputs = [_source(output, _name(output, "output_config"), layers) for output in _objects(config, "output_config")]
    inputs = config.get("input_order", [_name(source, "input_config") for source in _objects(config, "input_config")])
    if not isinstance(inputs, list):
        refuse("input_order of Graph", inputs, "a list of names")
    ends = {"input_layers": [[name, 0, 0] for name in inputs], "output_layers": [[name, 0, 0] for name in outputs]}
    return {"class_name": "Model", "config": {"name": "graph", "layers": layers, **ends}}


def _input(source: Mapping[str, Any]) -> dict[str, Any]:
    name, dtype, shape = _name(source, "input_config"), source.get("dtype", "float"), source.get("input_shape")
    if not isinstance(dtype, str) or dtype not in _DTYPES or not isinstance(shape, list):
        refuse(f"input {shown(name)} of Graph", [shape, dtype], "a shape such as [7, 3], and the dtype float or int")
    config = {"name": name, "batch_input_shape": [None, *shape], "input_dtype": _DTYPES[dtype]}
    return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}


def _source(node: Mapping[str, Any], title: str, layers: list[dict[str, Any]]) -> Any:
    """Return the name of the layer that a node reads; several inputs are merged by a layer of their own."""
    several = node.get("inputs")
    if not several:
        return node.get("input")
    if not isinstance(several, list):
        refuse(f"inputs of {shown(title)}", several, "a list of names")
    mode, axes = node.get("merge_mode"), node.get("dot_axes")
    if mode == "dot" and isinstance(axes, int) and axes >= 0:
        refuse(
            f"dot_axes of {shown(title)}",
            axes,
            "a number below 0: the others mean other axes in Keras 0 than in Keras 3",
        )
    merged = {"concat_axis": node.get("concat_axis"), "dot_axes": axes}
    config = {"name": title, "mode": mode, **merged}
    calls = [[[name, 0, 0] for name in several]]
    layers.append({"class_name": "Merge", "name": title, "config": config, "inbound_nodes": calls})
    return title


def _objects(config: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    values = config.get(key)
    if not isinstance(values, list) or not values:
        refuse(f"{key} of Graph", values, "a list of objects")
    return [as_dict(value, f"{key} of Graph") for value in values]


def _name(value: Mapping[str, Any], key: str) -> str:
    name = value.get("name")
    return name if isinstance(name, str) else refuse(f"name in {key} of Graph", name, "text")
