"""The config of a model of any Keras, in Keras 3's form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multilstm.errors import listed, shown
from multilstm.spec.dialects.cells import without_cells
from multilstm.spec.dialects.inner_models import models_inside
from multilstm.spec.dialects.keras0 import keras1_form
from multilstm.spec.dialects.layers import KeptLayers, LayerTranslator
from multilstm.spec.dialects.models import ModelTranslator
from multilstm.spec.dialects.networks import Part
from multilstm.spec.dialects.versions import version_of
from multilstm.spec.json_values import MIXED_POLICIES, MODELS, as_dict, class_of, objects

__all__ = ["Translated", "keras3_config"]


@dataclasses.dataclass(frozen=True)
class Translated:
    """A model in Keras 3's form.

    Attributes:
        config: the model as Keras 3's JSON has it, with `class_name` and `config`.
        version: the version of Keras that wrote the file, as the file has it.
        notes: what the file means, where Keras 3 would read it otherwise.
        renamed: the arguments of Keras 3 that the file has under another name, with that name.
        places: the places in the file of layers that came out of models inside the model, by name.
        parts: the layers and models in the order of the file; empty for a model without models inside.
        held: the layers that the file calls with `training=False`, by the names of `config`.
    """

    config: Mapping[str, Any]
    version: str
    notes: tuple[str, ...] = ()
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    places: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    held: tuple[str, ...] = ()


def keras3_config(model: Mapping[str, Any], version: str | None = None) -> Translated:
    """Return the model of a file in Keras 3's form, without models inside it.

    Args:
        model: the JSON of a model, of Keras 0.3 to 3 or of TensorFlow.js.
        version: the version of Keras that wrote it, where the file lacks it. None: the file's `keras_version`, or
            the version that its form shows.

    Raises:
        SpecError: for an old layer or argument that Keras 3 does not have, or a version that decides an answer and is
            unknown. The message names the place in the file.
    """
    unpacked = _unpacked(model)
    model = without_cells(unpacked)
    written_by, note = version_of(model, version)
    if not written_by.is_old and model is unpacked and not _has_models(model):
        return Translated(model, written_by.text, tuple(_policy_notes(model)))
    model = as_dict(keras1_form(model), "the model") if written_by.is_old else model
    class_of(model, MODELS, "the model")
    layers = LayerTranslator(written_by) if written_by.is_old else KeptLayers()
    models = ModelTranslator(layers)
    config = models.model(model)
    held = _held(config) if written_by.is_old else ()
    notes = (*([note] if note else ()), *layers.notes, *_policy_notes(model), *_held_notes(held))
    return Translated(config, written_by.text, notes, layers.renamed, models.places, models.parts, held)


def _held(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the layers that a call of the old model, in Keras 3's form, holds in inference.

    Keras 3 ignores `training=False` of a call in `fit`, and writes it into each functional model by itself.
    """
    config = model.get("config")
    entries = config.get("layers") if isinstance(config, Mapping) else None
    held = [
        entry.get("name")
        for entry in _items(entries)
        if isinstance(entry, Mapping) and any(map(_is_held, _items(entry.get("inbound_nodes"))))
    ]
    return tuple(name for name in held if isinstance(name, str))


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _is_held(node: Any) -> bool:
    kwargs = node.get("kwargs") if isinstance(node, Mapping) else None
    return isinstance(kwargs, Mapping) and kwargs.get("training") is not None  # other values are refused later


def _held_notes(held: Sequence[str]) -> Iterator[str]:
    """Yield a note on the layers of `_held`."""
    if held:
        meaning = "Keras 2 stays in inference there while the model trains; Keras 3 and multilstm do not"
        yield f"training=False in the call of {listed(map(shown, held))}: {meaning}"


def _policy_notes(model: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note for each policy of mixed precision, which a spec leaves to the dtype of a run."""
    found: set[str] = set()
    for entry in objects(model):
        dtype = entry.get("dtype")
        policy = dtype.get("config") if isinstance(dtype, Mapping) else {"name": dtype}
        name = policy.get("name") if isinstance(policy, Mapping) else None
        if isinstance(name, str) and name in MIXED_POLICIES:
            found.add(name)
    for name in sorted(found):
        yield f"layers of the file compute in {name}; here the dtype of a run decides: compare with --dtype {name}"


def _has_models(model: Mapping[str, Any]) -> bool:
    """Whether a model of Keras 3 has models inside it."""
    config = model.get("config")
    return any(models_inside(config.get("layers") if isinstance(config, Mapping) else config))


def _unpacked(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model inside a file of TensorFlow.js, with its version."""
    for key in ("modelTopology", "model_config"):
        inner = model.get(key)
        if "class_name" not in model and isinstance(inner, Mapping):
            known = {"keras_version": model["keras_version"]} if "keras_version" in model else {}
            model = {**known, **inner}
    return model
