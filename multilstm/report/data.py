"""The report as data: every judged quantity, the environment, and the engines that were skipped."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from multilstm.compare import AGREES, FAILS, Rounding
from multilstm.compare.quantity import FORWARD
from multilstm.errors import EngineUnavailableError, ParityError
from multilstm.report.arguments import Arguments
from multilstm.report.cells import RECORDED, Cell

SCHEMA = 3


@dataclasses.dataclass(frozen=True)
class ReportData:
    """All cells of a run, with what follows from them.

    Attributes:
        cells: the judged quantities.
        environment: machine, versions, precision, options of the run.
        skipped: the reason for every engine that could not run here, by name.
        shortened: the reduction of each shortened case in words, by the case's name.
        seconds: wall-clock seconds of the whole run.
        touches: the rows of the ledger that a user's model meets in plain Keras, as JSON data.
        named: the engines that the user named.
        without_recurrent: the cases whose model contains no recurrent layer.
        without_judge: the layers that no reference computes, whose models' engines are compared with each other.
        idle_masks: the Masking layers that masked no timestep, since they read another layer's output.
        idle_limits: the limits of activations in a user's model that no value reached, in words.
        judge: the answers with which the engines are compared, in words.
        inputs: the inputs of a user's model, in words.
        origin: sentences on the program that wrote a user's model, and on what a newer one would silently change.
        arguments: the choice of models on the command line; None for a run from Python.
        ledger: the rows of the ledger that explain a cell, as JSON data, by id.
        cases: the names of the run's cases, in their order.
        jobs: the number of jobs of the whole run; 0 where it is unknown.
        remarks: sentences on the files from which the report was read: a run that was killed, a broken line, a gap.
    """

    cells: tuple[Cell, ...]
    environment: Mapping[str, Any]
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shortened: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    touches: tuple[Mapping[str, Any], ...] = ()
    named: tuple[str, ...] = ()
    without_recurrent: tuple[str, ...] = ()
    without_judge: tuple[str, ...] = ()
    idle_masks: tuple[str, ...] = ()
    idle_limits: tuple[str, ...] = ()
    judge: str = "the float64 reference"
    inputs: str = ""
    origin: tuple[str, ...] = ()
    arguments: Arguments | None = None
    ledger: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    cases: tuple[str, ...] = ()
    jobs: int = 0
    remarks: tuple[str, ...] = ()

    @functools.cached_property
    def engines(self) -> tuple[str, ...]:
        """The engines that the cells judge, in their order."""
        return tuple(dict.fromkeys(cell.engine for cell in self.cells))

    @functools.cached_property
    def counts(self) -> Counter[str]:
        """The number of cells with each verdict."""
        return Counter(cell.verdict for cell in self.cells)

    @functools.cached_property
    def failures(self) -> tuple[Cell, ...]:
        """The cells that diverge or are errors."""
        return tuple(cell for cell in self.cells if cell.verdict in FAILS)

    @functools.cached_property
    def failure_groups(self) -> tuple[tuple[Cell, ...], ...]:
        """The failures of each engine, case and dtype that share a kind of quantity, or the message of an error."""
        groups: dict[tuple[str, str, str, str], list[Cell]] = {}
        for cell in self.failures:
            subject = cell.comparison.message if cell.verdict == "error" else cell.kind
            groups.setdefault((cell.engine, cell.case, cell.dtype, subject), []).append(cell)
        return tuple(map(tuple, groups.values()))

    @functools.cached_property
    def counts_by_engine(self) -> Mapping[str, Counter[str]]:
        """The number of cells with each verdict, by engine."""
        counts: dict[str, Counter[str]] = {engine: Counter() for engine in self.engines}
        for cell in self.cells:
            counts[cell.engine][cell.verdict] += 1
        return counts

    @property
    def model(self) -> str:
        """The name of a user's model without its folder; empty for the catalogue, and for a run from Python."""
        path = "" if self.arguments is None else self.arguments.model or ""
        return os.path.basename(path.rstrip("/")) or path

    @functools.cached_property
    def agrees(self) -> bool:
        """Whether something was compared, also without a judge, and every difference is known."""
        return any(cell.verdict in (*AGREES, "unjudged", "known") for cell in self.cells) and not self.failures

    @functools.cached_property
    def versions(self) -> dict[str, Mapping[str, Any]]:
        """The versions of the packages of each engine that computed in another environment, by engine."""
        engines, here = self.environment.get("engines"), self.environment.get("versions")
        if not isinstance(engines, Mapping):
            return {}
        here = here if isinstance(here, Mapping) else {}  # merged reports have no common environment
        rows = {name: facts.get("versions") for name, facts in engines.items() if isinstance(facts, Mapping)}
        return {
            name: versions
            for name, versions in rows.items()
            if name in self.engines and isinstance(versions, Mapping)
            if "@" in name or not versions.items() <= here.items()
        }

    @functools.cached_property
    def idle(self) -> tuple[str, ...]:
        """The engines that executed no case."""
        busy = {cell.engine for cell in self.cells if cell.verdict != "unsupported"}
        return tuple(engine for engine in self.engines if engine not in busy)

    @functools.cached_property
    def idle_named(self) -> tuple[str, ...]:
        """The engines that the user named, and that executed no case."""
        return tuple(engine for engine in self.idle if engine in self.named)

    @functools.cached_property
    def unrecorded(self) -> tuple[str, ...]:
        """The quantities of the forward pass that recorded answers lack."""
        recorded = {cell.quantity for cell in self.cells if cell.engine == RECORDED}
        lacking = (cell.quantity for cell in self.cells if cell.kind in FORWARD and cell.quantity not in recorded)
        return tuple(dict.fromkeys(map(str, lacking))) if recorded else ()

    @functools.cached_property
    def rounding(self) -> Rounding:
        """The float32 bits over all forward quantities that were computed in float64."""
        return sum((cell.comparison.rounding for cell in self.cells), Rounding())

    def exit_code(self, strict: bool = False) -> int:
        """Return the exit code of a command that ends with this report.

        Args:
            strict: whether known, unjudged and unsupported cells and skipped engines count as failures.

        Returns:
            0 if everything that was compared agrees or is known, 1 if something does not. 3 if nothing was compared, or
            if an engine that the user named executed nothing.
        """
        if self.failures:
            return ParityError.exit_code
        if not any(cell.verdict != "unsupported" for cell in self.cells) or self.idle_named:
            return EngineUnavailableError.exit_code
        weak = sum(self.counts[verdict] for verdict in ("known", "unjudged", "unsupported")) + len(self.skipped)
        return ParityError.exit_code if strict and weak else 0
