"""The target `keras2`: an HDF5 file in the dialect of Keras 2, which tf-keras and TensorFlow.js read.

tf-keras builds and saves the model in a process of its own. The bytes are then read back as data, and loaded and
executed by tf-keras in another process.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from multilstm.conversion.target import Target
from multilstm.engines.registry import engine_row
from multilstm.errors import ParityError, shown
from multilstm.files import load
from multilstm.files.compiled import Compiled
from multilstm.spec import Graph, to_json
from multilstm.spec.arrays import Array
from multilstm.suite.keras_file import written_by

__all__ = ["KERAS2"]

ENGINE = "keras2"


def _files(spec: Graph, weights: Mapping[str, Array], given: Compiled) -> dict[str, bytes]:
    """Return the file as tf-keras writes it.

    Raises:
        UnsupportedError: for a layer, an argument or an activation that Keras 2 lacks.
        EngineUnavailableError: if tf-keras is not installed.
    """
    message = {"spec": to_json(spec), "weights": dict(weights)}
    return {".h5": written_by(engine_row(ENGINE), "multilstm.engines.keras.keras2_writer:serve", message)}


def _check(path: pathlib.Path, spec: Graph, weights: Mapping[str, Array]) -> None:
    """Raise ParityError where the file read as data holds another model, or other weights."""
    loaded = load(path)
    kinds = {str(layer.name): layer.class_name for layer in loaded.spec.layers}
    expected = {str(layer.name): layer.class_name for layer in spec.layers}
    if kinds != expected:
        raise ParityError(f"the .h5 file has the layers {kinds}; expected {expected}")
    for name, array in weights.items():
        if loaded.weights is None or not np.array_equal(loaded.weights[name], array, equal_nan=True):
            raise ParityError(f"the .h5 file holds other numbers of {shown(name)} than the model")


KERAS2 = Target(
    "keras2",
    "Keras 2",
    (".h5",),
    f"{ENGINE}@file",
    _files,
    executor="multilstm.engines.keras.keras2_saved:SavedKeras2Engine",
    is_plain_keras=True,
    keeps_penalties=True,
    stateful_calls="dependent",
    dtype="float32",
    check=_check,
)
