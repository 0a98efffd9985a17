"""A model as a `.keras` file that Keras itself writes, with proof.

Keras builds and saves the model in one process. The bytes are then read back as data, and loaded and executed by Keras
in another process. Layers, weights, outputs, sequences, states, gradients, and updates by the optimizer of the file are
compared with the spec and with the reference.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from multilstm.cases.case import Case
from multilstm.compare import AGREES, Comparison
from multilstm.conversion.keras_file import classes_needed, draws_mask_per_gate, keras_config
from multilstm.conversion.target import Target
from multilstm.engines.registry import KERAS_FILE, EngineRow, engine_row, registered
from multilstm.errors import ParityError, listed, shown
from multilstm.execution.availability import Availability
from multilstm.execution.options import Options
from multilstm.files import load
from multilstm.files.compiled import Compiled, OptimizerState
from multilstm.report.data import Report
from multilstm.spec import GRU, LSTM, Bidirectional, Graph, InputLayer, Layer, to_json
from multilstm.spec.arrays import Array
from multilstm.spec.training import Training, compile_config
from multilstm.suite.compare_cases import compare_cases, worker_pool
from multilstm.suite.hidden_masks import exercising_case
from multilstm.suite.updates import compared_updates
from multilstm.workers import Pool
from multilstm.workers.pool import TIMEOUT_S
from multilstm.workers.run_folder import RunFolder
from multilstm.workers.worker import Worker

__all__ = ["KERAS", "KerasFile", "keras_file", "without_dropout"]

# Keras on PyTorch writes optimizers under names that its other backends do not load, so it writes last.
WRITERS = ("keras-jax", "keras-tensorflow", "keras-torch")
ENGINE = "keras-torch"  # executes the files
LABEL = f"{ENGINE}@file"
PARTS = ("output", "sequence", "last_output", "hidden", "cell", "parameter_count", "gradient", "input_gradient")
UPDATES = 100


@dataclasses.dataclass(frozen=True)
class KerasFile:
    """A proven `.keras` file.

    Attributes:
        content: its bytes.
        version: the version of Keras that wrote it.
        report: the comparison of its answers with the reference.
        needed: the classes of `multilstm.keras_layers` that loading it needs; empty: plain Keras suffices.
        updates: the comparison of each weight after updates with the optimizer of the file; empty without one.
        notes: sentences, without a full stop, on the differences between the model and the file.
    """

    content: bytes
    version: str
    report: Report
    needed: tuple[str, ...]
    updates: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def trained(self) -> str:
        """The numbers of updates after which arrays were compared: `after 1, 10 and 100 updates`."""
        numbers = [comparison.quantity.where.split("/")[0].removeprefix("updates_") for comparison in self.updates]
        return f"after {listed(dict.fromkeys(numbers))} updates"


def keras_file(
    spec: Graph,
    weights: Mapping[str, Array] | None,
    training: Training | None = None,
    state: OptimizerState | None = None,
    *,
    updates: int = UPDATES,
    follow: Callable[..., Any] | None = None,
) -> KerasFile:
    """Let Keras write a model, and compare the file with the spec and with the reference.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`, rounded to float32, the dtype of the file; None: random ones.
        training: the optimizer and losses of the file; None: none.
        state: the arrays of the optimizer; None: zeros.
        updates: the number of updates with the optimizer of the file that are compared.
        follow: receives the progress of the comparison.

    Raises:
        UnsupportedError: for a model that Keras does not build.
        ParityError: if the file reads back as another model, or gives other answers.
        EngineUnavailableError: if Keras or PyTorch is not installed.
    """
    rounded = None if weights is None else {name: np.asarray(array, np.float32) for name, array in weights.items()}
    case = exercising_case(spec.with_layers(without_dropout), weights=rounded)
    case = dataclasses.replace(case, optimizer=None, training=())  # with a job that has one, the file updates
    state = state or OptimizerState()
    slots = {name: np.asarray(array, np.float32) for name, array in state.slots.items()}
    state = dataclasses.replace(state, slots=slots)
    is_stateful = any(layer.stateful for layer in spec.recurrent.values())  # which PyTorch cannot train
    trains = training is not None and bool(spec.trainable_weights) and not is_stateful
    message = {
        "spec": to_json(spec),
        "config": keras_config(spec),
        "weights": dict(case.initial_weights),
        "training": None if training is None else compile_config(training),
        "slots": dict(state.slots),
        "iteration": state.iteration,
    }
    answer = _asked_of_keras(message)
    content = answer["file"].tobytes()
    with RunFolder() as folder:
        path = folder / "model.keras"
        path.write_bytes(content)
        check_read_back(path, spec, case.initial_weights)
        with registered([_row(path)]):
            options = Options((LABEL,), ("float32", "float64"), "plain", quantities=PARTS)
            availability = Availability((LABEL,), {}, {}, named=True)
            following = [follow] if follow else []
            with worker_pool(options) as pool:
                report = compare_cases((case,), options, *following, availability=availability, pool=pool)
                report.check()
                compared = _compared(pool, case, training, state, updates) if trains else ()
    _check_updates(compared)
    notes = [] if rounded is None else list(_notes(weights or {}, rounded))
    if training is not None and not trains:
        notes.append("updates were not compared: Keras on PyTorch trains no stateful layer")
    return KerasFile(content, answer["version"], report, classes_needed(spec, training), compared, tuple(notes))


def _notes(weights: Mapping[str, Array], rounded: Mapping[str, Array]) -> Iterator[str]:
    if any(not np.array_equal(weights[name], array, equal_nan=True) for name, array in rounded.items()):
        yield "the weights were rounded to float32, the dtype of the file"


def _prove(
    spec: Graph, weights: Mapping[str, Array] | None, compiled: Compiled, follow: Callable[..., Any] | None
) -> tuple[dict[str, bytes], Report, tuple[str, ...]]:
    """Return the file as the target `keras` has it."""
    file = keras_file(spec, weights, compiled.training, compiled.state, follow=follow)
    notes = [*compiled.notes, *file.notes]
    if file.needed:
        notes.append(f"a program that loads the file needs `import multilstm.keras_layers`, for {listed(file.needed)}")
    return {".keras": file.content}, file.report, tuple(notes)


KERAS = Target("keras", "Keras 3", (".keras",), ENGINE, None, prove=_prove)


def _asked_of_keras(message: dict[str, Any]) -> dict[str, Any]:
    rows = [engine_row(name) for name in WRITERS]
    row = next((row for row in rows if not row.missing), rows[-1])
    row.require()
    with RunFolder() as folder, contextlib.closing(_worker(row, folder)) as worker:
        return worker.call(message, TIMEOUT_S)


def _worker(row: EngineRow, folder: pathlib.Path) -> Worker:
    return Worker("Keras", ("multilstm.engines.keras.writer:serve",), "cpu", row.on("cpu"), folder / "writer")


def _row(path: pathlib.Path) -> EngineRow:
    """Return the row of the engine that executes a file; as a row with a label, it has the ledger of its engine."""
    row = engine_row(ENGINE)
    return dataclasses.replace(
        row,
        name=LABEL,
        target="multilstm.engines.keras.saved:SavedKerasEngine",
        settings={**row.settings, KERAS_FILE: str(path)},
        partial=True,
        versions=row.packages,
    )


# --- the file as data


def without_dropout(layer: Layer) -> Layer:
    """Return a layer without dropout, which draws random masks in training alone."""
    fields = {field.name for field in dataclasses.fields(layer)}
    changes: dict[str, Any] = dict.fromkeys(fields & {"dropout", "recurrent_dropout", "rate"}, 0.0)
    if isinstance(layer.wrapped, Layer):
        changes["layer"] = without_dropout(layer.wrapped)
    return dataclasses.replace(layer, **changes)


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


# --- training


def _compared(
    pool: Pool, case: Case, training: Training | None, state: OptimizerState, count: int
) -> tuple[Comparison, ...]:
    assert training is not None
    return tuple(compared_updates(pool, LABEL, case, training, state, count))


def _check_updates(compared: tuple[Comparison, ...]) -> None:
    failed = [comparison for comparison in compared if comparison.verdict not in AGREES]
    if failed:
        lines = [comparison.message or str(comparison.quantity) for comparison in failed]
        raise ParityError(f"after updates with the optimizer of the .keras file: {'; '.join(lines[:5])}")
