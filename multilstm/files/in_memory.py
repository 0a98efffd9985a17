"""Models that a caller has in hand: a spec, a loaded model, a path, or a model of Keras."""

from __future__ import annotations

import dataclasses
import inspect
import os
import tempfile
import warnings
from typing import Any

from multilstm.errors import InputError, MultilstmError, shown
from multilstm.files.loaded import LoadedModel
from multilstm.files.model import Path, load
from multilstm.spec import Graph

__all__ = ["AnyModel", "resolved"]

AnyModel = Graph | LoadedModel | Path | Any  # Any: a keras.Model, whose class is not imported


def resolved(model: AnyModel) -> Any:
    """Return the loaded model of a path or of a model of Keras; a spec, a loaded model or another object as it is.

    Keras is not imported: a model of Keras saves itself into a temporary file, which is read as data.

    Raises:
        InputError: for a model of Keras that has no weights yet or cannot be saved, and as `load`.
        SpecError: as `load`.
    """
    if isinstance(model, (str, os.PathLike)):
        return load(model)
    return _saved(model) if _is_of_keras(model) else model


def _is_of_keras(model: object) -> bool:
    """Whether an object is a `keras.Model`, also of tf-keras."""
    return any(
        kind.__name__ == "Model" and kind.__module__.partition(".")[0] in ("keras", "tf_keras")
        for kind in type(model).__mro__
    )


_FRAMEWORKS = ("keras", "tf_keras", "tensorflow", "jax", "torch", "multilstm")
_PARTS = ("layers", "layer", "forward_layer", "backward_layer", "cell", "cells")  # attributes of layers with others


def _check_functions(model: Any, name: str) -> None:
    """Refuse activations of the user's own: Keras writes their names alone, and `def relu` would be read as Keras's.

    Raises:
        InputError: with the layer, and the module of the function.
    """
    left, seen = [model], set[int]()
    while left:
        layer = left.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        for argument in ("activation", "recurrent_activation"):
            function = getattr(layer, argument, None)
            module = getattr(function, "__module__", None) or ""
            if inspect.isfunction(function) and module.partition(".")[0] not in _FRAMEWORKS:
                raise InputError(
                    f"{name}: {argument} of the layer {shown(getattr(layer, 'name', ''))} is the function "
                    f"{shown(function.__name__)} of {shown(module)}; expected one of Keras's, by its name"
                )
        for part in (getattr(layer, attribute, None) for attribute in _PARTS):
            left += part if isinstance(part, (list, tuple)) else [part] if part is not None else []


def _saved(model: Any) -> LoadedModel:
    """Return the content of the file that a model of Keras saves."""
    name = f"the Keras model {shown(getattr(model, 'name', ''))}"
    if not getattr(model, "built", False):
        raise InputError(f"{name} is not built and has no weights; give it an Input, or call it once")
    _check_functions(model, name)
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        path = os.path.join(folder, "model.keras")
        try:
            with warnings.catch_warnings(action="ignore"):  # Keras's own, which its user did not cause
                model.save(path)
        except Exception as error:  # a layer of the user's own may raise any class
            raise InputError(f"{name} cannot be saved: {type(error).__name__}: {shown(str(error))}") from error
        try:
            loaded = load(path)
        except MultilstmError as error:
            raise type(error)(f"{name}: {str(error).replace(f'{path}: ', '').replace(path, 'its file')}") from None
    return dataclasses.replace(loaded, provenance=dataclasses.replace(loaded.provenance, format="a model in memory"))
