"""The report as data: every judged quantity, the environment, and the engines that were skipped."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from multilstm.compare import AGREES, FAILS, VERDICTS, Comparison, Mismatch, Quantity, Rounding
from multilstm.compare.quantity import FORWARD
from multilstm.errors import EngineUnavailableError, ParityError
from multilstm.jobs.implementation import Implementation
from multilstm.report.arguments import Arguments

SCHEMA = 3
RECORDED = "recorded"  # in place of an engine's name: the answers of another program
FAILURES_IN_ERROR = 20


class JobKey(NamedTuple):
    """The name of a job in a run: one part of one case on one engine.

    Attributes:
        case: the case's name.
        engine: the engine's name.
        device: `cpu` or `gpu`.
        dtype: the dtype of the computation.
        layers: `plain` or `portable`.
        part: `forward`, `gradient`, `program` or `updates`; empty for answers without a part.
    """

    case: str
    engine: str
    device: str
    dtype: str
    layers: str
    part: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.engine, self.case, self.dtype, self.part)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One judged quantity of one case on one engine.

    Attributes:
        case: the case's name.
        engine: the engine's name.
        device: `cpu` or `gpu`.
        dtype: the dtype of the computation.
        layers: `plain` or `portable`.
        part: the part of the case: `forward`, `gradient`, `program` or `updates`; empty where it is unknown.
        digest: the digest of the job's inputs and weights; empty where it is unknown.
        seconds: the time of the job inside the engine; the quantities of one job share it.
        implementation: the kernel that computed the LSTMs; empty where nothing ran.
        comparison: the verdict, with its distances.
    """

    case: str
    engine: str
    device: str
    dtype: str
    layers: str
    seconds: float
    implementation: Implementation
    comparison: Comparison
    part: str = ""
    digest: str = ""

    @property
    def job(self) -> JobKey:
        """The job to which the cell belongs."""
        return JobKey(*(getattr(self, name) for name in JobKey._fields))

    @property
    def verdict(self) -> str:
        """The verdict alone."""
        return self.comparison.verdict

    @property
    def quantity(self) -> Quantity:
        """The quantity."""
        return self.comparison.quantity

    @property
    def kind(self) -> str:
        """The kind of quantity: `hidden` of `hidden:lstm`."""
        return self.comparison.quantity.kind

    def to_dict(self) -> dict[str, Any]:
        """Return the cell as JSON data without its job: the comparison's fields next to seconds and implementation."""
        comparison = self.comparison
        return {
            **comparison.__dict__,
            "seconds": self.seconds,
            "implementation": str(self.implementation),
            "quantity": str(comparison.quantity),
            "rounding": dataclasses.asdict(comparison.rounding),
            "known": [row._asdict() for row in comparison.known],
            "mismatch": _mismatch(comparison.mismatch),
        }


@dataclasses.dataclass(frozen=True)
class Report:
    """All cells of a run. `print(report)` shows it as the command line does.

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
        idle_limits: the layers of a user's model whose largest output no value reached.
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

    def __repr__(self) -> str:
        return f"<Report of {counted(len(self.cells), 'quantity', 'quantities')}: {self.sentence}>"

    def __str__(self) -> str:
        from multilstm.report.terminal import to_text

        return to_text(self)

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

    @functools.cached_property
    def sentence(self) -> str:
        """The verdict on the whole run, in a few sentences; the first one names the worst."""
        return " ".join(self.sentences)

    @functools.cached_property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of `sentence`, one by one."""
        from multilstm.report.sentences import sentences_of

        return tuple(sentences_of(self))

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

    def check(self) -> None:
        """Return if everything that was compared agrees, or if the ledger explains every difference.

        Raises:
            ParityError: if a quantity does not agree, nothing was compared, or an engine that the user named executed
                nothing. The message lists engine, case, dtype and quantity of each failure, with the worst place and
                both values.
        """
        if self.agrees and not self.idle_named:
            return
        if not self.failures:
            raise ParityError(self.sentence)
        lines = [
            f"{cell.engine} {cell.case} {cell.dtype} {cell.layers}: {cell.comparison.message or cell.verdict}"
            + (f" ({cell.comparison.explanation})" if cell.comparison.explanation else "")
            for cell in self.failures
        ]
        more = len(lines) - FAILURES_IN_ERROR
        first = lines[:FAILURES_IN_ERROR] + ([f"... and {more} more"] if more > 0 else [])
        raise ParityError(f"{len(lines)} of {len(self.cells)} quantities do not agree:\n  " + "\n  ".join(first))

    def to_json(self) -> str:
        """Return the report as JSON lines; infinite distances are written as null."""
        from multilstm.report.records import json_lines

        return "\n".join(json_lines(self))

    def to_html(self) -> str:
        """Return the report as a page: one file that needs no network."""
        from multilstm.report.html import to_html

        return to_html({"": self})

    def to_junit(self) -> str:
        """Return the report as JUnit XML, one test case for each cell."""
        from multilstm.report.junit import to_junit

        return to_junit({"": self})

    def to_markdown(self) -> str:
        """Return a summary of the report in GitHub's Markdown."""
        from multilstm.report.markdown import to_markdown

        return to_markdown({"": self})


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as `2,020 models`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _mismatch(mismatch: Mismatch | None) -> dict[str, Any] | None:
    """Return a mismatch as JSON data."""
    if mismatch is None:
        return None
    curve = mismatch.over_time
    return {**mismatch._asdict(), "over_time": None if curve is None else curve._asdict()}


def json_line(data: Mapping[str, Any]) -> str:
    """Return plain data as JSON on one line; numbers that are not finite are written as null."""
    return json.dumps(_finite(dict(data)), allow_nan=False)


def json_text(data: Mapping[str, Any]) -> str:
    """Return JSON text of plain data; numbers that are not finite are written as null."""
    return json.dumps(_finite(dict(data)), indent=1, allow_nan=False)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested data as pairs of text, such as `("versions: jax", "0.10.1")`; empty values are left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{name}: {key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        yield name, ", ".join(map(str, value))
    elif value not in (None, ""):
        yield name, str(value)


def in_order(cells: Iterable[Cell], cases: Iterable[str], engines: Iterable[str], dtypes: Iterable[str]) -> list[Cell]:
    """Return cells by case, engine, dtype and part; names that are not given come last, in the order of the cells."""
    cells = list(cells)
    orders = [
        {name: place for place, name in enumerate(dict.fromkeys((*names, *present)))}
        for names, present in (
            (cases, [cell.case for cell in cells]),
            (engines, [cell.engine for cell in cells]),
            (dtypes, [cell.dtype for cell in cells]),
        )
    ]
    of_case, of_engine, of_dtype = orders
    return sorted(cells, key=lambda cell: (of_case[cell.case], of_engine[cell.engine], of_dtype[cell.dtype], cell.part))


def weakest(cells: Iterable[Cell]) -> Cell:
    """Return the cell with the weakest verdict, and among these the one with the largest distance."""
    return max(cells, key=lambda cell: (VERDICTS.index(cell.verdict), cell.comparison.max_abs or 0.0))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
