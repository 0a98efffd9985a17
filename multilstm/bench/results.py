"""Results of a benchmark as data: written as JSON, and read back with every value checked."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.bench.modes import mode_named
from multilstm.bench.rounds import Samples, median, minimum, quartiles, spread
from multilstm.errors import InputError, UsageError, shown
from multilstm.files.regular import read_text
from multilstm.json_data import parse_json, typed
from multilstm.report.files import write_text

__all__ = [
    "SCHEMA",
    "Benchmark",
    "Contestant",
    "Facts",
    "Product",
    "PublishedRow",
    "Row",
    "begins_as_benchmark",
    "is_benchmark",
]

SCHEMA = 3  # of the data that `Benchmark.write` writes
SMALLEST, LARGEST = 1e-12, 1e24  # of a time, or of operations a second
LIMIT = 100_000_000  # bytes; a run of the largest grid has about 1 MB
EXPECTED = "a result that `multilstm bench --json` wrote"
_BEGINNING = re.compile(rb'\s*\{\s*"benchmark"')


@dataclasses.dataclass
class Row:
    """The times of one contestant for one mode of one workload.

    Attributes:
        workload: name of the workload.
        engine: name of the contestant.
        mode: name of the mode.
        samples: seconds of each call, a list for each round; empty if it was not timed.
        repeated: samples of the second pass; empty if there was none. See `multilstm.bench.rounds`.
        build_s: seconds until the model was built with its weights.
        trace_s: seconds of tracing, where the framework separates them.
        compile_s: seconds of compilation, where the framework separates them.
        first_s: seconds of the first call; it traces and compiles where the framework does not separate them.
        error: largest difference from the reference's answers, divided by the largest value of each tensor.
        distance: the same in units of the tolerance; above 1 the answers disagree.
        failure: reason why there is no time, or None.
        implementation: kernel that computed it, as compiled or dispatched; None if nothing was computed.
        peak_bytes: largest resident memory of its process.
        program_bytes: memory of the compiled program besides its arguments and results.
        joules: energy of one call; None where it is not measured.
    """

    workload: str
    engine: str
    mode: str
    samples: Samples = dataclasses.field(default_factory=list)
    repeated: Samples = dataclasses.field(default_factory=list)
    build_s: float | None = None
    trace_s: float | None = None
    compile_s: float | None = None
    first_s: float | None = None
    error: float | None = None
    distance: float | None = None
    failure: str | None = None
    implementation: str | None = None
    peak_bytes: int | None = None
    program_bytes: int | None = None
    joules: float | None = None

    @property
    def last(self) -> Samples:
        """The samples of the last pass."""
        return self.repeated or self.samples

    @property
    def median_s(self) -> float | None:
        """The median of the samples of the last pass, in seconds."""
        return median(self.last) if self.last else None

    @property
    def minimum_s(self) -> float | None:
        """The smallest sample of the last pass, in seconds."""
        return minimum(self.last) if self.last else None

    @property
    def quartiles_s(self) -> tuple[float, float] | None:
        """The lower and the upper quartile of the samples of the last pass, in seconds."""
        return quartiles(self.last) if self.last else None

    @property
    def spread(self) -> float | None:
        """The spread of the samples of the last pass."""
        return spread(self.last) if self.last else None

    @property
    def place(self) -> tuple[str, str, str]:
        """Workload, mode and engine."""
        return self.workload, self.mode, self.engine

    def fail(self, reason: str) -> None:
        """Remove the samples and record the reason of a failure."""
        self.samples, self.repeated, self.failure = [], [], reason


@dataclasses.dataclass
class PublishedRow:
    """A published time; see `multilstm.bench.shapes.Published`."""

    mode: str
    milliseconds: float
    implementation: str
    hardware: str
    source: str


@dataclasses.dataclass
class Facts:
    """One workload.

    Attributes:
        batch: number of sequences in a batch.
        timesteps: number of timesteps of the first batch.
        parameters: number of parameters of the model.
        batches: number of batches of a call, by mode.
        steps: number of timesteps of a call, by mode; all sequences of a batch make a step at once.
        flops: operations of a call's matrix products, by mode.
        optimizer: the optimizer and loss of the training modes.
        masked: whether a mask reaches a recurrent layer.
        source: publication or program that the workload comes from.
        published: published times.
        spec: SHA-256 of the model's spec; empty in files of before it was recorded.
    """

    batch: int
    timesteps: int
    parameters: int
    batches: dict[str, int]
    steps: dict[str, int]
    flops: dict[str, int]
    optimizer: str
    masked: bool
    source: str
    published: list[PublishedRow]
    spec: str = ""


@dataclasses.dataclass
class Contestant:
    """One contestant: versions of its packages, and the switches of its process."""

    versions: dict[str, str]
    switches: dict[str, str]


@dataclasses.dataclass
class Product:
    """The fastest product of two square matrices that a contestant's framework computed; None: none was timed."""

    flops_per_s: float
    engine: str


@dataclasses.dataclass
class Benchmark:
    """One run.

    Attributes:
        grid: name of the grid, or empty for a user's model.
        model: name of the user's model, or empty.
        dtype: dtype of the computation.
        device: `cpu` or `gpu`.
        environment: machine, versions and variables.
        method: numbers of the method.
        workloads: the workloads by name.
        contestants: the contestants by name.
        product: the peak with which throughput is compared.
        skipped: contestants that did not run, with the reason.
        rows: the measurements.
        interrupted: whether the run ended early.
        schema: version of the file's format.
        benchmark: marks the file as a benchmark.
    """

    grid: str
    model: str
    dtype: str
    device: str
    environment: dict[str, Any]
    method: dict[str, float]
    workloads: dict[str, Facts] = dataclasses.field(default_factory=dict)
    contestants: dict[str, Contestant] = dataclasses.field(default_factory=dict)
    product: Product | None = None
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    rows: list[Row] = dataclasses.field(default_factory=list)
    interrupted: bool = False
    schema: int = SCHEMA
    benchmark: str = "multilstm bench"

    @property
    def timed(self) -> list[Row]:
        """The rows with times."""
        return [row for row in self.rows if row.samples]

    @property
    def modes(self) -> list[str]:
        """The names of the modes, in the order of the rows."""
        return list(dict.fromkeys(row.mode for row in self.rows))

    def group(self, workload: str, mode: str) -> list[Row]:
        """Return the rows with times of one workload and mode, fastest first."""
        rows = [row for row in self.timed if (row.workload, row.mode) == (workload, mode)]
        return sorted(rows, key=lambda row: row.median_s or 0.0)

    def write(self, path: str) -> None:
        """Write the result to a file; `-` is standard output.

        Raises:
            InputError: if the file cannot be written.
        """
        write_text(path, self.to_json())

    def to_json(self) -> str:
        """Return the result as JSON, with a line for each row; samples have five digits."""
        data = dataclasses.asdict(self)
        rows = [json.dumps(_short(row), allow_nan=False) for row in data.pop("rows")]
        data = {"benchmark": data.pop("benchmark"), **data}  # first, for `begins_as_benchmark`
        head = json.dumps(data, indent=1, allow_nan=False).rstrip("\n}")
        return head + ',\n "rows": [\n' + ",\n".join(rows) + "\n]\n}"

    @classmethod
    def read(cls, path: str) -> Benchmark:
        """Return the result of a file.

        Raises:
            InputError: for a file that cannot be read, is no benchmark, or has another schema.
        """
        text = read_text(path, LIMIT, EXPECTED)
        try:
            data = parse_json(text, LIMIT)
            if not is_benchmark(data):
                raise InputError("this JSON is no benchmark")
            if data.get("schema") != SCHEMA:
                raise InputError(f"its schema is {shown(data.get('schema'))}, expected {SCHEMA}; measure again")
            read = typed(cls, data, "benchmark")
            _check(read.rows, read.workloads)
            _check_numbers(read)
        except (InputError, UsageError) as error:
            raise InputError(f"cannot read {path!r}: {error}; expected {EXPECTED}") from None
        result: Benchmark = read
        return result


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose samples have five digits."""
    for name in ("samples", "repeated"):
        row[name] = [[float(f"{seconds:.5g}") for seconds in round_] for round_ in row[name]]
    return row


def begins_as_benchmark(path: str) -> bool:
    """Whether a file begins as `Benchmark.write` writes it; False for a file that cannot be read."""
    try:
        with open(path, "rb", opener=_opened) as file:
            return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and bool(_BEGINNING.match(file.read(100)))
    except (OSError, ValueError):
        return False


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # else a named pipe would wait for a writer


def is_benchmark(data: object) -> bool:
    """Whether parsed JSON is a benchmark, of whatever schema."""
    return isinstance(data, dict) and "benchmark" in data and "rows" in data


def _check(rows: Sequence[Row], workloads: Mapping[str, Facts]) -> None:
    """Refuse repeated rows, unknown names, empty rounds, times of 0 or less, and times of wrong answers."""
    places = set()
    for row in rows:
        mode_named(row.mode)
        if row.workload not in workloads:
            raise InputError(f"a row names the workload {shown(row.workload)}, which it lacks")
        if row.place in places:
            raise InputError(f"row {'/'.join(row.place)} is there twice")
        places.add(row.place)
        for samples in (row.samples, row.repeated):
            if any(not round_ or min(round_) <= 0 for round_ in samples):
                raise InputError(f"row {'/'.join(row.place)}: expected rounds of seconds above zero")
        if row.last and (row.failure is not None or row.distance is None or not 0 <= row.distance <= 1):
            fault = shown(row.failure or f"a distance of {row.distance} tolerances")
            raise InputError(f"row {'/'.join(row.place)}: it has times and {fault}, expected no time of a wrong answer")


def _check_numbers(result: Benchmark) -> None:
    """Refuse numbers that no measurement has, and workloads that lack those of a mode: tables divide by them."""
    for name, facts in result.workloads.items():
        if min(facts.batch, facts.timesteps) < 1:
            sizes = f"{facts.batch} sequences of {facts.timesteps} timesteps"
            raise InputError(f"workload {shown(name)} has {sizes}, expected 1 or more of both")
        modes = {row.mode for row in result.rows if row.workload == name}
        for label, least in (("batches", 1), ("steps", 1), ("flops", 0)):
            counts = getattr(facts, label)
            if missing := sorted(mode for mode in modes if counts.get(mode, -1) < least):
                count = f"{missing[0]}: {counts.get(missing[0])}"
                raise InputError(f"workload {shown(name)} has {label} of {count}, expected {least} or more")
        for published in facts.published:
            _check_range(f"workload {shown(name)}: published milliseconds", published.milliseconds)
    for row in result.rows:
        place = f"row {'/'.join(row.place)}"
        for seconds in itertools.chain(*row.samples, *row.repeated):
            _check_range(f"{place}: seconds", seconds)
        for label in ("build_s", "trace_s", "compile_s", "first_s", "error", "peak_bytes", "program_bytes", "joules"):
            _check_range(f"{place}: {label}", getattr(row, label), 0.0)
    for label, number in result.method.items():
        _check_range(f"method: {label}", number, 0.0)
    if result.product is not None:
        _check_range("product: flops_per_s", result.product.flops_per_s)


def _check_range(place: str, number: float | None, least: float = SMALLEST) -> None:
    """Refuse a number whose quotients leave the range of floats; None is a number that was not measured."""
    if number is not None and not least <= number <= LARGEST:
        raise InputError(f"{place}: given {number}, expected a number from {least:g} to {LARGEST:g}")
