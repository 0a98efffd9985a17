"""Models inside of a TimeDistributed that stay models: their masks are of their own timesteps.

Any other model inside of a TimeDistributed becomes a TimeDistributed around each of its layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from multilstm.errors import shown
from multilstm.spec.arguments import is_real
from multilstm.spec.dialects.entries import class_name, config_of_entry, is_model, stays_model
from multilstm.spec.dialects.networks import Part
from multilstm.spec.dialects.tables import RECURRENT

__all__ = ["distributed_part", "models_inside", "without_dropout"]

_RATES = {  # arguments that act in training alone
    **dict.fromkeys(RECURRENT, ("dropout", "recurrent_dropout")),
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "AlphaDropout"), ("rate",)),
    "GaussianNoise": ("stddev",),
}


def without_dropout(entry: Mapping[str, Any], where: str, notes: dict[str, None]) -> dict[str, Any]:
    """Return an entry of Keras 3's form in which no layer drops or adds noise, at any depth.

    Args:
        entry: a model or a layer.
        where: its place in the file, the beginning of every note.
        notes: gets a note for each argument that is left out.
    """
    config = dict(config_of_entry(entry, where))
    for key in _RATES.get(str(class_name(entry)), ()):
        value: Any = config.get(key)
        if is_real(value) and value > 0:
            config[key] = 0.0
            notes[f"{where}: {key}={shown(value)} inside acts in training alone and is left out"] = None
    for key in ("layer", "backward_layer"):
        if isinstance(config.get(key), Mapping):
            config[key] = without_dropout(config[key], where, notes)
    if isinstance(config.get("layers"), list):
        config["layers"] = [
            without_dropout(layer, f"{where}: {_title(layer)}", notes) if isinstance(layer, Mapping) else layer
            for layer in config["layers"]
        ]
    return {**entry, "config": config}


def distributed_part(entry: Mapping[str, Any], name: str, inside: tuple[Part, ...]) -> Part:
    """Return a TimeDistributed around a model in the order of the file.

    Args:
        entry: the TimeDistributed in the file.
        name: its name in the whole model, the beginning of the names of its layers.
        inside: the layers of the model inside.
    """
    inner = entry["config"]["layer"]
    if class_name(inner) == "TimeDistributed":
        return Part(name, "TimeDistributed", (distributed_part(inner, name, inside),))
    model = Part(_title(inner), str(class_name(inner)), tuple(part.within(name) for part in inside))
    return Part(name, "TimeDistributed", (model,))


def models_inside(layers: Any) -> Iterator[Any]:
    """Yield the entries of a model's layers that hold a model."""
    for entry in layers if isinstance(layers, (list, tuple)) else ():
        if is_model(entry) or stays_model(entry):
            yield entry


def _title(entry: Any) -> str:
    config = entry.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return str(name if isinstance(name, str) else entry.get("name", class_name(entry)))
