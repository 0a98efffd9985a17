"""Conversion of a model into another framework, with proof.

The converted files are executed in a process of their own, on the model's own weights. Outputs, sequences and states,
and the gradients of weights and inputs where the engine has them, are compared with the reference, in float32 and
float64. Files that do not agree are an error, and nothing is written.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.model_case import BATCH, enough_timesteps
from multilstm.cases.recipes import GivenBatches
from multilstm.conversion.target import Target
from multilstm.engines.registry import engine_row, registered
from multilstm.errors import UnsupportedError
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.files.compiled import Compiled
from multilstm.files.outputs import PROOF, write_outputs
from multilstm.report.data import Report
from multilstm.spec import Graph, Layer
from multilstm.spec.arrays import Array
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.hidden_masks import exercising_case

__all__ = ["Conversion", "convert_model"]

FORWARD = ("output", "sequence", "last_output", "hidden", "cell", "parameter_count")
GRADIENTS = ("gradient", "input_gradient")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A model in another framework.

    Attributes:
        files: the contents by suffix, the main file first.
        report: the comparison with the reference.
        notes: sentences, without a full stop, on the differences between the model and the files.
    """

    files: Mapping[str, bytes]
    report: Report
    notes: tuple[str, ...]

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
) -> Conversion:
    """Convert a model, and compare the result with the reference.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`; None: random ones, which only prove the structure.
        target: the framework or format.
        follow: receives the progress of the comparison.
        compiled: optimizer, losses and arrays of the optimizer, for a target that keeps them; None: none.

    Raises:
        UnsupportedError: for a layer or an option that the target lacks.
        ParityError: where the converted files give other answers.
        EngineUnavailableError: where the target's framework is not installed.
    """
    if target.prove is not None:
        made, report, notes = target.prove(spec, weights, compiled or Compiled(), follow)
        return Conversion(made, report, tuple(notes))
    assert target.files is not None
    availability = available((target.engine,), "cpu", None)
    case = _case(spec.with_layers(_in_inference), weights)
    files = target.files(spec, case.initial_weights)
    row = engine_row(target.engine)
    quantities = (*FORWARD, *(GRADIENTS if row.gradients else ()))
    dtypes, reasons = _dtypes(case, target.files)
    options = Options(availability.engines, dtypes, quantities=quantities)
    with registered([dataclasses.replace(row, settings={**row.settings, **target.settings})]):
        report = compare_cases((case,), options, *([follow] if follow else []), availability=availability)
    report.check()
    return Conversion(files, report, (*reasons, *target.notes(spec)))


def _dtypes(
    case: Case, files: Callable[[Graph, Mapping[str, Array]], Mapping[str, bytes]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dtypes in which a target makes files of the model, and a note on a dtype that is left out."""
    weights = {name: np.asarray(array, np.float64) for name, array in case.initial_weights.items()}
    try:
        files(case.spec, weights)
    except UnsupportedError as error:
        return ("float32",), (f"compared in float32 alone, since float64 is refused ({error})",)
    return ("float32", "float64"), ()


def _case(spec: Graph, weights: Mapping[str, Array] | None) -> Case:
    """Return a case whose batches have three lengths and two sizes, where the model leaves them open."""
    case = exercising_case(spec, weights=weights)
    sizes = [size for layer in spec.inputs.values() for size in (layer.batch_size, *layer.shape)]
    if None not in sizes:
        return case
    timesteps = enough_timesteps(spec)
    others = [
        exercising_case(spec, batch, length, case.initial_weights)
        for batch, length in ((1, 2 * timesteps), (BATCH, 3 * timesteps))
    ]
    batches = tuple(batch for each in (case, *others) for batch in each.forward.batches())
    description = f"{case.description}; further batches of other lengths and sizes"
    return dataclasses.replace(case, forward=GivenBatches(batches), description=description)


def _in_inference(layer: Layer) -> Layer:
    """Return a layer without dropout and penalties, which act in training alone."""
    fields = {field.name for field in dataclasses.fields(layer)}
    changes: dict[str, Any] = {name: None for name in fields if name.endswith("_regularizer")}
    changes |= dict.fromkeys(fields & {"dropout", "recurrent_dropout", "rate"}, 0.0)
    if isinstance(layer.wrapped, Layer):
        changes["layer"] = _in_inference(layer.wrapped)
    return dataclasses.replace(layer, **changes)
