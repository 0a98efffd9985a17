"""Entries of models and layers in the JSON of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilstm.errors import listed
from multilstm.spec.dialects.tables import MERGES
from multilstm.spec.json_values import MODELS, as_dict, objects, refuse

__all__ = [
    "class_name",
    "config_of_entry",
    "is_model",
    "layer_list",
    "merge_layer",
    "model_of",
    "stays_model",
    "written_class",
]

_DEPTH = 32  # of wrappers in a file, which may contain themselves; fewer are read


def class_name(entry: Any) -> Any:
    """Return the class of an entry, or None."""
    return entry.get("class_name") if isinstance(entry, Mapping) else None


def written_class(entry: Any) -> Any:
    """Return the class that the file has for an entry: RNN where `without_cells` made another layer of it."""
    return entry.get("written", class_name(entry))


def model_of(entry: Any) -> Any:
    """Return the entry of the whole model that an entry is, or that its TimeDistributed wraps; None for a layer.

    A TimeDistributed whose model stays a model is a layer.
    """
    if stays_model(entry):
        return None
    inner = _distributed(entry) if class_name(entry) == "TimeDistributed" else entry
    return inner if _is_whole(inner) else None


def stays_model(entry: Any) -> bool:
    """Whether an entry is a TimeDistributed around a model that makes masks, or that has a TimeDistributed inside.

    A TimeDistributed around another one is such an entry too.
    """
    inner, depth = entry, 0
    while class_name(inner) == "TimeDistributed" and depth < _DEPTH:
        inner, depth = _distributed(inner), depth + 1
    return depth > 0 and _is_whole(inner) and (depth > 1 or any(map(_stays_inside, objects(inner))))


def _stays_inside(entry: Mapping[str, Any]) -> bool:
    config = entry.get("config")
    masks = isinstance(config, Mapping) and bool(config.get("mask_zero"))
    return entry.get("class_name") in ("Masking", "TimeDistributed") or (
        entry.get("class_name") == "Embedding" and masks
    )


def _distributed(entry: Any) -> Any:
    config = entry.get("config")
    return config.get("layer") if isinstance(config, Mapping) else None


def _is_whole(entry: Any) -> bool:
    return isinstance(class_name(entry), str) and class_name(entry) in MODELS


def is_model(entry: Any) -> bool:
    """Whether an entry is a whole model, or a TimeDistributed around one."""
    return model_of(entry) is not None


def config_of_entry(entry: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Return the config of a model or a layer; that of a Sequential may be the list of its layers."""
    config = entry.get("config")
    return {"layers": config} if isinstance(config, list) else as_dict(config, f"{place}: config")


def layer_list(value: Any, where: str) -> list[Any]:
    """Return the entries of a model's layers, of which there must be one."""
    if not isinstance(value, list) or not value:
        refuse(where, value, "a list of layers")
    return value


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
