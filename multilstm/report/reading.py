"""Reports, read back from the files that `multilstm parity --json` wrote, also of runs that were killed.

A killed run can leave a broken last line. All lines before it are used, and a remark names it. A broken line elsewhere
means that another program changed the file, which is refused.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.compare import AGREES, VERDICTS, Comparison, KnownRow, Mismatch, OverTime, Quantity, Rounding
from multilstm.compare.quantity import KINDS
from multilstm.errors import InputError, choice, shown
from multilstm.files.regular import read_text
from multilstm.jobs.implementation import Implementation
from multilstm.json_data import parse_json, typed
from multilstm.report.arguments import Arguments
from multilstm.report.cells import Cell, JobKey, in_order
from multilstm.report.data import SCHEMA
from multilstm.report.report import Report
from multilstm.report.text import counted

__all__ = ["Recorded", "read_recorded", "read_report"]

LIMIT = 200_000_000  # bytes; the whole catalogue in every dtype has about a tenth of it
EXPECTED = "a report that `multilstm parity --json` wrote"


@dataclasses.dataclass
class _Known:
    id: str
    title: str


@dataclasses.dataclass
class _Rounding:
    values: int
    near: int
    differing: int


@dataclasses.dataclass
class _OverTime:
    timesteps: int
    shares: list[float | None]

    def values(self) -> OverTime:
        """Return the curve; a share that was not finite is infinite."""
        return OverTime(self.timesteps, tuple(math.inf if share is None else share for share in self.shares))


@dataclasses.dataclass
class _Mismatch:
    outside: int
    size: int
    place: list[int]
    actual: float | None
    desired: float | None
    max_rel: float | None
    mean_abs: float | None
    median_abs: float | None
    batch: int
    over_time: _OverTime | None = None  # older files of this schema lack it

    def values(self) -> Mismatch | None:
        """Return the mismatch; None if a number of it was not finite, which JSON cannot hold."""
        if None in (self.actual, self.desired, self.mean_abs, self.median_abs):
            return None
        over_time = None if self.over_time is None else self.over_time.values()
        return Mismatch(**{**vars(self), "place": tuple(self.place), "over_time": over_time})


@dataclasses.dataclass
class _Row:
    id: str
    title: str
    severity: str
    consequence: str
    advice: str
    fixed_by: list[str]
    link: str


@dataclasses.dataclass
class _Touch(_Row):
    engines: list[str]
    layers: list[str]
    certain: bool


@dataclasses.dataclass
class _Cell:
    """A cell as `Cell.to_dict` writes it."""

    seconds: float
    implementation: str
    quantity: str
    verdict: str
    max_abs: float | None
    share: float | None
    max_ulp: int | None
    tolerance: str
    response: float
    rounding: _Rounding
    message: str
    explanation: str
    known: list[_Known]
    mismatch: _Mismatch | None


@dataclasses.dataclass
class _Job:
    """A judged job as `RunFile` appends it."""

    case: str
    engine: str
    device: str
    dtype: str
    layers: str
    part: str
    digest: str
    elapsed_s: float
    cells: list[_Cell]
    quantities: int | None = None  # older files of this schema lack it


@dataclasses.dataclass
class _Run:
    """The description of a run, the first line."""

    environment: dict[str, Any]
    skipped: dict[str, str]
    shortened: dict[str, str]
    touches: list[_Touch]
    named: list[str]
    without_recurrent: list[str]
    without_judge: list[str]
    idle_masks: list[str]
    judge: str
    inputs: str
    origin: list[str]
    arguments: Arguments | None
    cases: list[str]
    jobs: int
    idle_limits: list[str] = dataclasses.field(default_factory=list)  # older files of this schema lack it


@dataclasses.dataclass
class _End:
    """The last line of a complete run."""

    verdict: str
    seconds: float
    ledger: dict[str, _Row]


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The file of a run, as it was read.

    Attributes:
        report: the report of all jobs in it.
        digests: the digest of the inputs and weights of each job.
        elapsed_s: the seconds of the run until its last job.
        size: the bytes of the lines before the broken one, and before the line of a complete run's end.
    """

    report: Report
    digests: Mapping[JobKey, str]
    elapsed_s: float
    size: int


def read_report(path: str) -> Report:
    """Return the report of a file. Its verdict is derived from its cells again.

    Args:
        path: a file that `multilstm parity --json` wrote.

    Raises:
        InputError: for a file that cannot be read, is no report, or has another schema.
    """
    return read_recorded(path).report


def read_recorded(path: str) -> Recorded:
    """Return the file of a run, as `read_report` does, with the digests of its jobs.

    Raises:
        InputError: see `read_report`; also for a job that is in the file twice.
    """
    text = read_text(path, LIMIT, EXPECTED)
    try:
        first, *lines = text.removesuffix("\n").split("\n")
        run = _run(first, text)
        reader = _Reader(_size(first), run.jobs)
        for number, line in enumerate(lines, 2):
            reader.read(number, line, is_last=number == len(lines) + 1)
        return reader.recorded(run)
    except InputError as error:
        raise InputError(f"cannot read {path!r}: {error}; expected {EXPECTED}") from None


def _run(first: str, text: str) -> _Run:
    """Return the description of the run in the first line."""
    try:
        data = parse_json(first, LIMIT)
    except InputError:
        data = parse_json(text, LIMIT)  # JSON over several lines has no lines of its own: it may be of schema 2
    if not isinstance(data, dict) or "schema" not in data:
        raise InputError("this JSON is no report")
    if data["schema"] != SCHEMA:
        raise InputError(f"its schema is {shown(data['schema'])}, expected {SCHEMA}; record the run again")
    run: _Run = typed(_Run, data.get("run"), "line 1: run")
    return run


def _size(line: str) -> int:
    """Return the bytes of a line, with its line feed."""
    return len(f"{line}\n".encode())


class _Reader:
    """The lines after the first one.

    Attributes:
        jobs: the judged jobs.
        end: the last line of a complete run; None without it.
        size: the bytes of all lines but the broken one and that of the end.
        broken: the number of the broken last line, and its fault; empty without one.
    """

    def __init__(self, size: int, jobs: int) -> None:
        self._jobs = jobs
        self.jobs: dict[JobKey, _Job] = {}
        self.end: _End | None = None
        self.size = size
        self.broken = ""

    def read(self, number: int, line: str, is_last: bool) -> None:
        """Read one line; a last one that is cut off is kept out."""
        try:
            data = parse_json(line, LIMIT)
        except InputError as error:
            if not is_last:
                raise InputError(f"line {number}: {error}") from None
            self.broken = f"Line {number} is cut off, so it was left out."
            return
        where = f"line {number}"
        if self.end is not None:
            raise InputError(f"{where} follows the end of the run")
        if isinstance(data, dict) and data.keys() == {"end"}:
            self.end = typed(_End, data["end"], f"{where}: end")
            if self._jobs and len(self.jobs) != self._jobs:
                raise InputError(
                    f"{where} ends a run of {counted(self._jobs, 'job')}, but the file holds {len(self.jobs)}"
                )
            return
        if not isinstance(data, dict) or data.keys() != {"job"}:
            raise InputError(f"{where}: given {shown(data)}; expected a job, or the end of the run")
        job: _Job = typed(_Job, data["job"], f"{where}: job")
        key = JobKey(*(getattr(job, name) for name in JobKey._fields))
        if key in self.jobs:
            raise InputError(f"{where}: the job {shown(str(key))} is there twice")
        _check_cells(job.cells, where)
        if job.quantities not in (None, len(job.cells)):
            count = counted(job.quantities or 0, "quantity", "quantities")
            raise InputError(f"{where}: its job has {count}, but the file holds {len(job.cells)}")
        self.jobs[key] = job
        self.size += _size(line)

    def recorded(self, run: _Run) -> Recorded:
        """Return what was read."""
        elapsed_s = max((job.elapsed_s for job in self.jobs.values()), default=0.0)
        cells = [_cell(key, job, cell) for key, job in self.jobs.items() for cell in job.cells]
        options = run.environment.get("options")
        options = options if isinstance(options, dict) else {}
        orders = [options.get(name) for name in ("engines", "dtypes")]
        engines, dtypes = ([str(name) for name in order] if isinstance(order, list) else [] for order in orders)
        report = Report(
            cells=tuple(in_order(cells, run.cases, engines, dtypes)),
            environment=run.environment,
            skipped=run.skipped,
            shortened=run.shortened,
            seconds=elapsed_s if self.end is None else self.end.seconds,
            touches=tuple(dataclasses.asdict(touch) for touch in run.touches),
            named=tuple(run.named),
            without_recurrent=tuple(run.without_recurrent),
            without_judge=tuple(run.without_judge),
            idle_masks=tuple(run.idle_masks),
            idle_limits=tuple(run.idle_limits),
            judge=run.judge,
            inputs=run.inputs,
            origin=tuple(run.origin),
            arguments=run.arguments,
            ledger={} if self.end is None else {name: dataclasses.asdict(row) for name, row in self.end.ledger.items()},
            cases=tuple(run.cases),
            jobs=run.jobs,
        )
        report = dataclasses.replace(report, remarks=self._remarks(run, report.sentence))
        return Recorded(report, {key: job.digest for key, job in self.jobs.items()}, elapsed_s, self.size)

    def _remarks(self, run: _Run, sentence: str) -> tuple[str, ...]:
        done = len(self.jobs)
        of_all = f"{done} of " if run.jobs else ""
        unfinished = f"The run did not end: it recorded {of_all}{counted(run.jobs or done, 'job')}."
        if self.end is None:
            return tuple(filter(None, (unfinished, self.broken)))
        recorded = shown(self.end.verdict)
        return () if self.end.verdict == sentence else (f"The run ended with another verdict: {recorded}.",)


def _check_cells(cells: Sequence[_Cell], where: str) -> None:
    """Refuse verdicts that contradict the other numbers of a job, and quantities that it holds twice."""
    quantities = set()
    for cell in cells:
        name = shown(cell.quantity)
        if cell.quantity in quantities:
            raise InputError(f"{where}: the quantity {name} is there twice")
        quantities.add(cell.quantity)
        if cell.verdict in AGREES and cell.share is not None and cell.share > 1:
            raise InputError(
                f"{where}: {name} is {shown(cell.verdict)} with {cell.share:g} times the tolerance, expected at most 1"
            )
        if cell.verdict == "known" and not cell.known:
            raise InputError(f"{where}: {name} is 'known', expected the row of the ledger that explains it")


def _cell(job: JobKey, record: _Job, cell: _Cell) -> Cell:
    quantity = Quantity.parse(cell.quantity)
    if cell.verdict not in VERDICTS:
        raise InputError(choice("verdict", cell.verdict, VERDICTS))
    if quantity.kind not in KINDS:
        raise InputError(choice("kind of quantity", quantity.kind, KINDS))
    kernel, _, detail = cell.implementation.partition("; ")
    return Cell(
        **job._asdict(),
        digest=record.digest,
        seconds=cell.seconds,
        implementation=Implementation(kernel, detail),
        comparison=Comparison(
            quantity,
            cell.verdict,
            cell.max_abs,
            cell.share,
            cell.max_ulp,
            cell.tolerance,
            cell.response,
            Rounding(**vars(cell.rounding)),
            cell.message,
            cell.explanation,
            tuple(KnownRow(row.id, row.title) for row in cell.known),
            None if cell.mismatch is None else cell.mismatch.values(),
        ),
    )
