"""A model of Keras 1 or 2 as a `.keras` file of Keras 3 that means the same, with the changes that it avoids."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from multilstm.cases.case import Case
from multilstm.conversion.keras_file import classes_needed
from multilstm.engines.registry import engine_row
from multilstm.errors import SpecError, UsageError, shown
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.files import LoadedModel
from multilstm.files.compiled import Compiled, compiled, version_in
from multilstm.migration.drift import DRIFTS, Drift
from multilstm.migration.measured import measured
from multilstm.migration.seen import OldModel
from multilstm.report.report import Report
from multilstm.spec.dialects.training import optimizer_config
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.conversion import FORWARD, GRADIENTS, Conversion, convert_model, without_dropout
from multilstm.suite.empty_sequences import FILLED, notes_on_empty_sequences
from multilstm.suite.hidden_masks import exercising_case
from multilstm.suite.keras_file import KERAS

__all__ = ["Change", "Migration", "migrate_model", "old_model"]

ORACLE = "keras2"


@dataclasses.dataclass(frozen=True)
class Change:
    """A row of the table of drift that touches a model.

    Attributes:
        row: the row.
        places: the layers, outputs or the optimizer that it touches.
        measured: its size on this model, in words; empty where it was not measured.
    """

    row: Drift
    places: tuple[str, ...]
    measured: str

    def __str__(self) -> str:
        row = self.row
        size = f" Measured: {self.measured}." if self.measured else ""
        verb = "Written" if row.repaired else "Not repaired; written"
        places = ", ".join(map(shown, self.places))
        return f"{row.name} ({places}): {row.before}; in Keras 3, {row.now}.{size} {verb}: {row.writes}."


@dataclasses.dataclass(frozen=True)
class Migration:
    """A migrated model.

    Attributes:
        file: the `.keras` file with its proof.
        needed: the classes of `multilstm.keras_layers` that loading it needs; empty: plain Keras suffices.
        origin: the origin of the old model, in a sentence.
        changes: the rows of the table that touch the model.
        oracle: the comparison with tf-keras; None where it is not installed, or does not execute the model.
        notes: sentences on what the file lacks.
    """

    file: Conversion
    needed: tuple[str, ...]
    origin: str
    changes: tuple[Change, ...]
    oracle: Report | None
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The report of the migration, a line for each note, each change and each proof."""
        return (self.origin, *(f"Note: {note}." for note in self.notes), *map(str, self.changes), *self._proofs())

    def _proofs(self) -> Iterator[str]:
        yield f"Keras {engine_row(KERAS.engine).packages['keras']} loads the file: {self.file.report.sentence}"
        if self.oracle is not None:
            yield f"Compared with tf-keras: {self.oracle.sentence}"
        if self.file.updates:
            yield f"Trained by the optimizer of the file, all arrays agree with its old rule {self.file.trained}."
        if not self.needed:
            yield "Plain Keras 3 loads the file."

    def save(self, path: str | os.PathLike[str]) -> tuple[pathlib.Path, ...]:
        """Write the file to `path`, and the comparison to `.proof.json` there.

        Raises:
            UsageError: where both are one file; no file is then replaced.
            InputError: where a file cannot be written; no file is then replaced.
        """
        return self.file.save(path)


def migrate_model(loaded: LoadedModel, updates: int, follow: Callable[..., Any] | None = None) -> Migration:
    """Migrate a loaded model of Keras 1 or 2.

    Args:
        loaded: the result of `load`.
        updates: the number of updates that are compared, where the file has an optimizer.
        follow: receives the progress of the comparison.

    Raises:
        UsageError: for a model of Keras 3 or of another program, and for a file that does not state its version.
        ParityError: where the new file gives other answers.
        UnsupportedError: for a model that Keras 3 does not build.
    """
    old, given = old_model(loaded)
    notes = list(given.notes)
    spec = old.spec.with_layers(without_dropout)
    case = exercising_case(spec, weights=loaded.weights)
    if any(notes_on_empty_sequences(case)):  # Keras 2 has the faults that `convert_model` notes
        case = exercising_case(spec, weights=loaded.weights, rows=FILLED)
    changes = tuple(_changes(old, case))
    if loaded.weights is None:
        notes.append("the old model has no weights: those of the new file are random")
    oracle = _compared_with_keras_2(case, loaded.provenance.generation, notes)
    noted = dataclasses.replace(given, notes=tuple(notes))
    file = convert_model(old.spec, loaded.weights, KERAS, follow, noted, updates)
    needed = classes_needed(old.spec, given.training)
    return Migration(file, needed, loaded.provenance.sentence, changes, oracle, file.notes)


def old_model(loaded: LoadedModel) -> tuple[OldModel, Compiled]:
    """Return a loaded model with its training in the meaning of its version.

    Raises:
        UsageError: see `migrate_model`.
    """
    origin, version = loaded.provenance, version_in(loaded)
    if version is None or not version.is_old:
        raise UsageError(
            f"{origin.sentence} Only models of Keras 1 and 2 are migrated; the others are converted: "
            f"multilstm convert MODEL NEW.keras"
        )
    if version.number == (2,):
        raise UsageError(
            f"{origin.sentence} The file does not state the version of Keras 2, on which its meaning depends; give the "
            f"version that wrote it, such as --keras-version 2.2.4 (keras_version='2.2.4')"
        )
    given, config = compiled(loaded), loaded.training
    try:
        _ = config is not None and optimizer_config(config)
    except SpecError:  # a note of `compiled` states the reason
        config = None
    return OldModel(loaded.spec, version, config, given.training, loaded.held), given


def _changes(old: OldModel, case: Case) -> Iterator[Change]:
    for row in DRIFTS:
        places = tuple(row.places(old))
        if places:
            yield Change(row, places, measured(row, case, old.training))


def _compared_with_keras_2(case: Case, generation: int | None, notes: list[str]) -> Report | None:
    """Return the comparison of the spec with tf-keras; None, with a note, where it cannot compare.

    Raises:
        ParityError: where tf-keras gives other answers.
    """
    if engine_row(ORACLE).missing:
        notes.append(f"not compared with Keras 2, which needs: {engine_row(ORACLE).installation}")
        return None
    availability = available((ORACLE,), "cpu", generation)
    options = Options(availability.engines, ("float64",), "plain", quantities=(*FORWARD, *GRADIENTS))
    report = compare_cases((case,), options, availability=availability)
    unsupported = next((cell for cell in report.cells if cell.verdict == "unsupported"), None)
    if unsupported is not None:
        notes.append(f"not compared with Keras 2: {unsupported.comparison.message}")
        return None
    report.check()
    return report
