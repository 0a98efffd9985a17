"""Entries of models and layers in the JSON of Keras 0.3 to 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilstm.errors import listed
from multilstm.spec.dialects.tables import MERGES
from multilstm.spec.json_values import as_dict, refuse

__all__ = [
    "MODELS",
    "class_name",
    "config_of_entry",
    "is_model",
    "layer_list",
    "merge_layer",
    "unwrapped",
]

MODELS = ("Sequential", "Functional", "Model")


def class_name(entry: Any) -> Any:
    """Return the class of an entry, or None."""
    return entry.get("class_name") if isinstance(entry, Mapping) else None


def is_model(entry: Any) -> bool:
    """Whether an entry is a whole model."""
    return isinstance(class_name(entry), str) and class_name(entry) in MODELS


def config_of_entry(entry: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Return the config of a model or a layer; that of a Sequential may be the list of its layers."""
    config = entry.get("config")
    return {"layers": config} if isinstance(config, list) else as_dict(config, f"{place}: config")


def layer_list(value: Any, where: str) -> list[Any]:
    """Return the entries of a model's layers, of which there must be one."""
    if not isinstance(value, list) or not value:
        refuse(where, value, "a list of layers")
    return value


def unwrapped(entry: Any) -> Any:
    """Return a Sequential of TimeDistributed layers for the TimeDistributed of a Sequential."""
    config = entry.get("config") if class_name(entry) == "TimeDistributed" else None
    inner = config.get("layer") if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or class_name(inner) != "Sequential":
        return entry
    place = "layer of TimeDistributed"
    layers = layer_list(config_of_entry(as_dict(inner, place), place).get("layers"), "layers of Sequential")
    wrapped: list[dict[str, Any]] = []
    outer = {key: value for key, value in config.items() if key not in ("layer", "name")}  # its shape, for the first
    for layer in layers:
        if class_name(layer) != "InputLayer":
            inside = layer.get("config") if isinstance(layer, Mapping) else None
            name = {"name": inside["name"]} if isinstance(inside, Mapping) and "name" in inside else {}
            shape = outer if not wrapped else {}
            wrapped.append({"class_name": "TimeDistributed", "config": {**shape, **name, "layer": layer}})
    title = {"name": config["name"]} if "name" in config else {}
    return {**entry, "class_name": "Sequential", "config": {**title, "layers": wrapped}}


def merge_layer(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the layer that a `Merge` of Keras 0 and 1 became."""
    config = config_of_entry(entry, place)
    mode = config.get("mode", "sum")
    if not isinstance(mode, str) or mode not in MERGES or config.get("mode_type", "raw") != "raw":
        refuse(f"{place} (Merge): mode", mode, f"one of {listed(MERGES)}")
    class_name, renamed = MERGES[mode]
    arguments = {new: config[old] for old, new in renamed.items() if config.get(old) is not None}
    name = {"name": config["name"]} if "name" in config else {}
    return {"class_name": class_name, "config": {**name, **arguments}}
