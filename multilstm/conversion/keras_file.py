"""A model as the configuration from which Keras 3 builds it, and saves it as a `.keras` file.

Layers are Keras's own. A layer that plain Keras would not save with all of its meaning is of `multilstm.keras_layers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from multilstm.spec import GRU, LSTM, Graph, Layer, to_json
from multilstm.spec.arguments import KERAS3_LACKS
from multilstm.spec.training import Training

__all__ = ["classes_needed", "draws_mask_per_gate", "keras_config"]

_MODULE = "multilstm.keras_layers.recurrent"


def draws_mask_per_gate(layer: Layer) -> bool:
    """Whether training draws a dropout mask for each gate, because of `implementation=1`, which Keras 3 does not save.

    With a recurrent dropout, Keras 3 always draws such masks.
    """
    return (
        isinstance(layer, LSTM | GRU)
        and getattr(layer, "implementation", 2) == 1
        and bool(layer.dropout)
        and not layer.recurrent_dropout
    )


def keras_config(spec: Graph) -> dict[str, Any]:
    """Return the configuration of a model, for `keras.saving.deserialize_keras_object`.

    Args:
        spec: any model.
    """
    config: dict[str, Any] = json.loads(to_json(spec))
    for entry, layer in zip(config["config"]["layers"], spec.layers, strict=True):
        for part in layer.nested:
            if draws_mask_per_gate(part):
                entry |= _registered(part)
            entry = entry["config"].get("layer", entry)
    return config


def classes_needed(spec: Graph, training: Training | None) -> tuple[str, ...]:
    """Return the names of `multilstm.keras_layers` that a file of the model needs; empty for plain Keras."""
    names = dict.fromkeys(_of_layers(spec))
    return (*names, *(training.own_classes if training is not None else ()))


def _of_layers(spec: Graph) -> Iterator[str]:
    for layer in spec.layers:
        for part in layer.nested:
            if draws_mask_per_gate(part):
                yield type(part).__name__
            values = (value for value in vars(part).values() if isinstance(value, str))
            yield from (f"activations.{value}" for value in values if value in KERAS3_LACKS)


def _registered(layer: Layer) -> Mapping[str, Any]:
    name = type(layer).__name__
    return {"module": _MODULE, "class_name": name, "registered_name": f"multilstm>{name}"}
