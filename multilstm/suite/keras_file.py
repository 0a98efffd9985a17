"""The target `keras`: a `.keras` file that Keras itself writes.

Keras builds and saves the model in a process of its own. The bytes are then read back as data, and loaded and executed
by Keras in another process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from multilstm.conversion.keras_file import classes_needed, draws_mask_per_gate, keras_config
from multilstm.conversion.target import Target
from multilstm.engines.registry import EngineRow, engine_row
from multilstm.errors import ParityError, listed, shown
from multilstm.files import load
from multilstm.files.compiled import Compiled
from multilstm.spec import GRU, LSTM, Bidirectional, Graph, InputLayer, Layer, to_json
from multilstm.spec.arrays import Array
from multilstm.spec.training import compile_config
from multilstm.workers.pool import TIMEOUT_S
from multilstm.workers.run_folder import RunFolder
from multilstm.workers.worker import Worker

__all__ = ["KERAS", "check_read_back", "written_by"]

# Keras on PyTorch writes optimizers under names that its other backends do not load, so it writes last.
WRITERS = ("keras-jax", "keras-tensorflow", "keras-torch")


def _files(spec: Graph, weights: Mapping[str, Array], given: Compiled) -> dict[str, bytes]:
    """Return the file as Keras writes it.

    Raises:
        UnsupportedError: for a model that Keras does not build.
        EngineUnavailableError: if Keras is not installed.
    """
    message = {
        "spec": to_json(spec),
        "config": keras_config(spec),
        "weights": dict(weights),
        "training": None if given.training is None else compile_config(given.training),
        "slots": dict(given.state.slots),
        "iteration": given.state.iteration,
    }
    rows = [engine_row(name) for name in WRITERS]
    row = next((row for row in rows if not row.missing), rows[-1])
    return {".keras": written_by(row, "multilstm.engines.keras.writer:serve", message)}


def written_by(row: EngineRow, service: str, message: dict[str, Any]) -> bytes:
    """Return the file that a framework writes in a process of its own.

    Args:
        row: the engine that has the framework.
        service: of `multilstm.workers.child`, as `module:name`; its answer has the bytes `file`.
        message: the model.
    """
    row.require()
    with (
        RunFolder() as folder,
        contextlib.closing(Worker("the writer", (service,), "cpu", row.on("cpu"), folder / "writer")) as worker,
    ):
        return bytes(worker.call(message, TIMEOUT_S)["file"].tobytes())


def _notes(spec: Graph, given: Compiled) -> Iterator[str]:
    if needed := classes_needed(spec, given.training):
        yield f"a program that loads the file needs `import multilstm.keras_layers`, for {listed(needed)}"


def check_read_back(path: pathlib.Path, spec: Graph, weights: Mapping[str, Array]) -> None:
    """Return if a file holds the layers and the weights of a model, compared by their names.

    Raises:
        ParityError: with the first layer or weight that differs.
    """
    loaded = load(path)
    held, given = ({str(layer.name): _as_saved(layer) for layer in graph.layers} for graph in (loaded.spec, spec))
    if set(held) != set(given):
        raise ParityError(f"the .keras file has the layers {listed(held)}; expected {listed(given)}")
    for name, layer in given.items():
        if held[name] != layer:
            raise ParityError(f"the .keras file has the layer {shown(held[name])}; expected {shown(layer)}")
    for name, array in weights.items():
        if loaded.weights is None or not np.array_equal(loaded.weights[name], array, equal_nan=True):
            raise ParityError(f"the .keras file holds other numbers of {shown(name)} than the model")


def _as_saved(layer: Layer) -> Layer:
    """Return a layer with the arguments that Keras's files do not hold at their defaults."""
    changes: dict[str, Any] = {}
    if isinstance(layer, LSTM | GRU):
        fields = {field.name for field in dataclasses.fields(layer)}
        changes = {"use_cudnn": "auto"} if "use_cudnn" in fields else {}
        if "implementation" in fields and not draws_mask_per_gate(layer):
            changes["implementation"] = 2
    if isinstance(layer, Bidirectional):
        inner: dict[str, Any] = {"name": None, "zero_output_for_mask": layer.layer.return_sequences}
        changes["layer"] = dataclasses.replace(_as_saved(layer.layer), **inner)
    elif isinstance(layer.wrapped, Layer):
        changes["layer"] = dataclasses.replace(_as_saved(layer.wrapped), name=None)
    elif not isinstance(layer, InputLayer) and getattr(layer, "activation", "") is None:
        changes["activation"] = "linear"
    return dataclasses.replace(layer, **changes)


KERAS = Target(
    "keras",
    "Keras 3",
    (".keras",),
    "keras-torch@file",
    _files,
    _notes,
    executor="multilstm.engines.keras.saved:SavedKerasEngine",
    is_plain_keras=True,
    keeps_penalties=True,
    stateful_calls="dependent",
    keeps_training=True,
    dtype="float32",
    check=check_read_back,
)
