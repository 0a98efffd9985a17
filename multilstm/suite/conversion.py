"""Conversion of a model into another framework, with proof.

The files are written into a temporary folder. A process of the target's framework reads them back and executes them on
their own weights. Outputs, sequences and states, and the gradients of weights and inputs where the engine has them, are
compared with the reference, in float32 and float64. Files with an optimizer also train, and every weight is compared
after 100 updates. Files that do not agree are an error, and nothing is written.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.model_case import BATCH, ROWS, enough_timesteps
from multilstm.cases.recipes import GivenBatches
from multilstm.compare import AGREES, Comparison
from multilstm.conversion.target import Target, refusal
from multilstm.engines.reference.faults import FAULTS
from multilstm.engines.registry import CONVERTED, EngineRow, base_name, engine_row, registered
from multilstm.errors import InputError, ParityError, UnsupportedError, listed, shown
from multilstm.execution.availability import available
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.files.compiled import Compiled
from multilstm.files.outputs import PROOF, write_outputs
from multilstm.ledger import Divergence, ledger
from multilstm.report.report import Report
from multilstm.spec import Graph, Layer
from multilstm.spec.arrays import Array
from multilstm.suite.compare_cases import compare_cases, worker_pool
from multilstm.suite.empty_sequences import FILLED, notes_on_empty_sequences
from multilstm.suite.hidden_masks import exercising_case
from multilstm.suite.updates import SUBSTITUTE, compared_updates, executed_loss
from multilstm.workers.run_folder import RunFolder

__all__ = ["FORWARD", "GRADIENTS", "Conversion", "check_updates", "convert_model", "without_dropout"]

UPDATES = 100

FORWARD = ("output", "sequence", "last_output", "hidden", "cell", "parameter_count")
GRADIENTS = ("gradient", "input_gradient")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A model in another framework.

    Attributes:
        files: the contents by suffix, the main file first.
        report: the comparison with the reference.
        notes: sentences, without a full stop, on the differences between the model and the files.
        updates: the comparison of each array after updates with the optimizer of the files; empty without one.
    """

    files: Mapping[str, bytes]
    report: Report
    notes: tuple[str, ...]
    updates: tuple[Comparison, ...] = ()

    @property
    def trained(self) -> str:
        """The numbers of updates after which arrays were compared: `after 1, 10 and 100 updates`."""
        numbers = [comparison.quantity.where.split("/")[0].removeprefix("updates_") for comparison in self.updates]
        return f"after {listed(dict.fromkeys(numbers))} updates"

    def save(self, path: str | os.PathLike[str]) -> tuple[pathlib.Path, ...]:
        """Write the main file to `path`, and the others and the comparison, `.proof.json`, next to it.

        Returns:
            The paths of all files.

        Raises:
            UsageError: where two of the files are one; no file is then replaced.
            InputError: where a file cannot be written; no file is then replaced.
        """
        main, *others = self.files
        further = {**{suffix: self.files[suffix] for suffix in others}, PROOF: self.report.to_json().encode()}
        return write_outputs(path, self.files[main], further)


def convert_model(
    spec: Graph,
    weights: Mapping[str, Array] | None,
    target: Target,
    follow: Callable[..., Any] | None = None,
    compiled: Compiled | None = None,
    updates: int = UPDATES,
) -> Conversion:
    """Convert a model, and compare the result with the reference.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`; None: random ones, which only prove the structure.
        target: the framework or format.
        follow: receives the progress of the comparison.
        compiled: optimizer, losses and arrays of the optimizer, for a target that keeps them; None: none.
        updates: the number of updates that are compared, where the files have an optimizer.

    Raises:
        UnsupportedError: for a layer or an option that the target lacks.
        ParityError: where the converted files give other answers, or are read back as another model.
        EngineUnavailableError: where the target's framework is not installed.
    """
    _check_layers(spec, target)
    engine_row(base_name(target.engine)).require()
    held, notes = _rounded(weights, target.dtype)
    executed = spec.with_layers(without_dropout if target.keeps_penalties else _in_inference)
    case = _case(executed, held)
    if target.is_plain_keras and (on_empty := tuple(notes_on_empty_sequences(case))):
        case, notes = _case(executed, held, FILLED), (*notes, *on_empty)
    given = _trained_in(target.dtype, compiled or Compiled())
    files = target.files(spec, case.initial_weights, given)
    dtypes, reasons = _dtypes(case, target)
    with RunFolder() as folder:
        path = folder / f"model{next(iter(files))}"
        for suffix, content in files.items():
            path.with_suffix(suffix).write_bytes(content)
        if target.check is not None:
            target.check(path, spec, case.initial_weights)
        with registered([_row(target, path)]):
            row = engine_row(target.engine)
            quantities = (*FORWARD, *(GRADIENTS if row.gradients else ()))
            availability = available((target.engine,), "cpu", None)
            options = Options(availability.engines, dtypes, "plain", quantities=quantities)
            with worker_pool(options) as pool:
                following = [follow] if follow else []
                report = compare_cases((case,), options, *following, availability=availability, pool=pool)
                report.check()
                execution = Execution(pool, target.engine, case, "float64", options)
                trained, why_not = _updated(execution, target, given, updates, _known_faults(report))
    return Conversion(
        files,
        report,
        (*_training_notes(target, given), *notes, *reasons, *why_not, *target.notes(spec, given)),
        trained,
    )


def _check_layers(spec: Graph, target: Target) -> None:
    """Raise UnsupportedError for a layer that no target writes, and for a stateful one whose calls the target parts."""
    for layer in spec.layers:
        if layer.inner_model is not None:
            raise UnsupportedError(
                f"{layer.label} holds a model, which no target writes; convert the model inside and the layers behind "
                f"it as two models"
            )
    for name in dict.fromkeys(name.split("/")[0] for name, layer in spec.recurrent.items() if layer.stateful):
        calls = [index for index, call in enumerate(spec.calls) if call.layer == name]
        if target.stateful_calls == "any" or all(spec.calls[index].initial_state for index in calls[1:]):
            continue
        if target.stateful_calls == "one":
            reason = "it is stateful, so each call goes on from the one before, and in the files all begin alike"
        elif any(first not in _before(spec, second) for first, second in itertools.pairwise(calls)):
            reason = "it is stateful, and Keras chooses the order of calls that do not depend on each other"
        else:
            continue
        raise refusal(target.name, spec.layer(name), f"its {len(calls)} calls", reason)


def _before(spec: Graph, index: int) -> set[int]:
    """Return the numbers of the calls that a call depends on."""
    before: set[int] = set()
    stack = [index]
    while stack:
        call = spec.calls[stack.pop()]
        direct = {ref.call for ref in (*call.inputs, *call.initial_state)} - before
        before |= direct
        stack += direct
    return before


def _training_notes(target: Target, given: Compiled) -> tuple[str, ...]:
    """Return notes on the training of a compiled model that the files lack."""
    if target.keeps_training:
        return given.notes
    is_compiled = given.training is not None or given.notes
    return ("the optimizer and the losses of the model are left out",) if is_compiled else ()


def _row(target: Target, path: pathlib.Path) -> EngineRow:
    """Return the row of the engine that executes the files at a path; one with a label has the ledger of its engine."""
    row = engine_row(target.engine)
    settings = {**row.settings, **target.settings, CONVERTED: str(path)}
    if target.executor is None:
        return dataclasses.replace(row, settings=settings)
    return dataclasses.replace(
        row, settings=settings, target=target.executor, partial=True, generations=(), versions=row.packages
    )


def _rounded(
    weights: Mapping[str, Array] | None, dtype: str | None
) -> tuple[Mapping[str, Array] | None, tuple[str, ...]]:
    """Return weights in the dtype of the files, and a note where that changes them.

    Raises:
        InputError: for a number that float32 does not hold, in which every conversion is compared.
    """
    if weights is None:
        return weights, ()
    with np.errstate(over="ignore"):
        rounded = {name: np.asarray(array, "float32") for name, array in weights.items()}
    for name, array in rounded.items():
        if not np.array_equal(np.isfinite(array), np.isfinite(weights[name])):
            largest = np.abs(weights[name][np.isfinite(weights[name])]).max()
            raise InputError(
                f"{shown(name)} holds {largest:g}, more than float32 does, in which the conversion is compared; scale "
                f"the weights"
            )
    if dtype is None:
        return weights, ()
    if all(np.array_equal(weights[name], array, equal_nan=True) for name, array in rounded.items()):
        return rounded, ()
    return rounded, (f"the weights were rounded to {dtype}, the dtype of the file",)


def _trained_in(dtype: str | None, compiled: Compiled) -> Compiled:
    """Return the training with the arrays of its optimizer in the dtype of the files."""
    slots = {name: np.asarray(array, dtype) for name, array in compiled.state.slots.items()}
    return dataclasses.replace(compiled, state=dataclasses.replace(compiled.state, slots=slots))


def _updated(
    execution: Execution, target: Target, compiled: Compiled, count: int, known: Sequence[Divergence]
) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Return the comparison of each weight after updates with the optimizer of the files, and notes on it.

    Args:
        execution: the model with the batches of the updates, on the engine that executes the files.
        target: the format.
        compiled: the training.
        count: the number of updates.
        known: the rows of the ledger whose faults the reference computes too.

    Raises:
        ParityError: where they differ.
    """
    spec = execution.case.spec
    if compiled.training is None or not target.keeps_training or not spec.trainable_weights:
        return (), ()
    if any(layer.stateful for layer in spec.recurrent.values()):
        return (), (f"updates were not compared: {target.title} on PyTorch trains no stateful layer",)
    faults = [row.prediction for row in known]
    compared = tuple(compared_updates(execution, compiled.training, compiled.state, count, faults))
    check_updates(compared, f"the {target.suffixes[0]} file")
    notes = [f"updates were compared with a reference that has this fault too: {row.title}" for row in known]
    if executed_loss(compiled.training) is None:
        losses = listed(dict.fromkeys(compiled.training.losses))
        notes.append(f"updates were compared with the loss {SUBSTITUTE}; multilstm does not execute {losses}")
    return compared, tuple(notes)


def _known_faults(report: Report) -> tuple[Divergence, ...]:
    """Return the rows of the ledger whose faults the files have in float64, and the reference can compute."""
    ids = {row.id for cell in report.cells if cell.dtype == "float64" for row in cell.comparison.known}
    return tuple(row for row in ledger() if row.id in ids and row.prediction in FAULTS)


def check_updates(compared: tuple[Comparison, ...], file: str) -> None:
    """Raise ParityError where arrays differ after updates, or the engine failed.

    Args:
        compared: the comparison of each array.
        file: the file in messages.
    """
    failed = [comparison for comparison in compared if comparison.verdict not in AGREES]
    if failed:
        fault = str(failed[0].message or failed[0].quantity)
        if failed[0].verdict == "diverges":
            fault = f"{len(failed)} of {len(compared)} arrays differ. The first is {fault}"
        raise ParityError(
            f"after updates with the optimizer of {file}, {fault}. To leave the optimizer out, run "
            f"multilstm.convert(model.spec, 'keras', weights=model.weights) in Python, with model = multilstm.load(...)"
        )


def _dtypes(case: Case, target: Target) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dtypes in which the files are executed, and a note on a dtype that is left out."""
    if target.dtype is not None:  # an engine executes them in other dtypes too
        return ("float32", "float64"), ()
    weights = {name: np.asarray(array, np.float64) for name, array in case.initial_weights.items()}
    try:
        target.files(case.spec, weights, Compiled())
    except UnsupportedError as error:
        return ("float32",), (f"compared in float32 alone, since float64 is refused ({error})",)
    return ("float32", "float64"), ()


def _case(spec: Graph, weights: Mapping[str, Array] | None, rows: tuple[str, ...] = ROWS) -> Case:
    """Return a case whose batches have three lengths and two sizes, where the model leaves them open.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`; None: random ones.
        rows: the kinds of masked rows.
    """
    case = dataclasses.replace(exercising_case(spec, weights=weights, rows=rows), optimizer=None, training=())
    sizes = [size for layer in spec.inputs.values() for size in (layer.batch_size, *layer.shape)]
    if None not in sizes:
        return case
    timesteps = enough_timesteps(spec)
    others = [
        exercising_case(spec, batch, length, case.initial_weights, rows)
        for batch, length in ((1, 2 * timesteps), (BATCH, 3 * timesteps))
    ]
    batches = tuple(batch for each in (case, *others) for batch in each.forward.batches())
    description = f"{case.description}; further batches of other lengths and sizes"
    return dataclasses.replace(case, forward=GivenBatches(batches), description=description)


def without_dropout(layer: Layer) -> Layer:
    """Return a layer without dropout, which draws random masks in training alone."""
    fields = {field.name for field in dataclasses.fields(layer)}
    changes: dict[str, Any] = dict.fromkeys(fields & {"dropout", "recurrent_dropout", "rate"}, 0.0)
    return dataclasses.replace(layer.with_inner(without_dropout), **changes)


def _in_inference(layer: Layer) -> Layer:
    """Return a layer without dropout and penalties, which act in training alone."""
    fields = {field.name for field in dataclasses.fields(layer)}
    changes: dict[str, Any] = {name: None for name in fields if name.endswith("_regularizer")}
    return dataclasses.replace(without_dropout(layer.with_inner(_in_inference)), **changes)
