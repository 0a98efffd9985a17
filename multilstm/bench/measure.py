"""Measurement of contestants on shapes: contestants whose answers agree with the judge's are timed.

Every contestant has a process of its own, with its framework's own number of threads. Only one process computes at a
time. See `multilstm.bench.rounds` for the method.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from multilstm.bench.agreement import largest_distance
from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.contestants.base import QUANTITIES
from multilstm.bench.rounds import Method, Samples, Timing, interleave, median, spread
from multilstm.bench.shapes import Shape
from multilstm.errors import EngineUnavailableError, WorkerError
from multilstm.spec.arrays import Array
from multilstm.workers import RunFolder, Worker

JUDGE = "jax-scan"  # computes in float64; the parity suite compares it with the reference
Arrays = Mapping[str, Mapping[str, Array]]  # by quantity, by name


@dataclasses.dataclass
class Row:
    """The times of one contestant for one quantity of one shape.

    Attributes:
        shape: name of the shape.
        contestant: name of the contestant.
        quantity: `forward` or `gradient`.
        samples: seconds of each call, a list for each round; empty if it was not timed.
        first_s: seconds of the first call, compilation included.
        distance: largest difference from the judge's answer, in units of the tolerance; above 1 it disagrees.
        failure: reason why there is no time, or None.
        implementation: kernel that computed it, as it was compiled or dispatched; None if nothing was computed.
        repeated: samples of the second pass; empty if there was none. See `multilstm.bench.rounds`.
    """

    shape: str
    contestant: str
    quantity: str
    samples: Samples = dataclasses.field(default_factory=list)
    first_s: float | None = None
    distance: float | None = None
    failure: str | None = None
    implementation: str | None = None
    repeated: Samples = dataclasses.field(default_factory=list)

    @property
    def last(self) -> Samples:
        """The samples of the last pass."""
        return Timing(self.samples, self.repeated).last

    @property
    def median_s(self) -> float | None:
        """The median of the samples of the last pass, in seconds."""
        return median(self.last) if self.last else None

    @property
    def spread(self) -> float | None:
        """The spread of the samples of the last pass."""
        return spread(self.last) if self.last else None

    def fail(self, reason: str) -> None:
        """Remove the samples and record the reason of a failure."""
        self.samples, self.repeated, self.failure = [], [], reason


def measure(
    shapes: Sequence[Shape],
    contestants: Sequence[str],
    method: Method,
    follow: Callable[[str], None] = lambda _: None,
    timeout_s: float = 1800.0,
    device: str = "cpu",
) -> tuple[list[Row], dict[str, dict[str, str]]]:
    """Time contestants on shapes.

    Args:
        shapes: the problems.
        contestants: names of `CONTESTANTS`.
        method: numbers of the method.
        follow: receives a line before each step.
        timeout_s: seconds after which one answer is given up.
        device: `cpu` or `gpu`; the judge computes on the CPU.

    Returns:
        A row for every shape, contestant and quantity, and the versions by contestant.
    """
    rows: list[Row] = []
    versions: dict[str, dict[str, str]] = {}
    order = method.order()
    with _workers(dict.fromkeys((JUDGE, *contestants)), device) as workers, _workers((JUDGE,), "cpu") as judges:
        judge = workers[JUDGE] if device == "cpu" else judges[JUDGE]
        for shape in shapes:
            desired = _prepare(judge, shape, "float64", "cpu", timeout_s)["answers"]
            prepared: list[Row] = []
            for name in contestants:
                follow(f"{shape.name}: {name} prepares")
                checked, about = _checked(workers[name], name, shape, desired, device, timeout_s)
                versions.setdefault(name, about)
                prepared += checked
            rows += prepared
            _time_all(prepared, workers, method, order, follow, timeout_s)
    return rows, versions


def without_gpu(contestants: Sequence[str], timeout_s: float = 600.0) -> dict[str, str]:
    """Return the contestants that find no GPU, with the reason; each is tried in a process of its own."""
    reasons = {}
    for name in contestants:
        with _workers((name,), "gpu") as workers:
            try:
                workers[name].call({"call": "use_gpu"}, timeout_s)
            except EngineUnavailableError as error:
                reasons[name] = str(error)
            except WorkerError:  # its process failed; `measure` tries it again, and reports the failure
                continue
    return reasons


def ratio(rows: Sequence[Row], shape: str, quantity: str, contestant: str, base: str = "jax-scan") -> float | None:
    """Return the median of a contestant divided by the median of `base`; None if one is missing.

    Both medians are of the same pass: the second if both were measured again, otherwise the first.
    """
    by_name = {row.contestant: row for row in rows if (row.shape, row.quantity) == (shape, quantity) and row.samples}
    if contestant not in by_name or base not in by_name:
        return None
    pair = by_name[contestant], by_name[base]
    passes = [row.repeated for row in pair] if all(row.repeated for row in pair) else [row.samples for row in pair]
    return median(passes[0]) / median(passes[1])


def computed_by(kernels: Mapping[str, str]) -> list[str]:
    """Return a line for each kernel, with the names of the contestants that it computed.

    Args:
        kernels: the kernel by the name of a contestant.
    """
    names: dict[str, list[str]] = {}
    for name, kernel in kernels.items():
        names.setdefault(kernel, []).append(name)
    return [f"computed by {', '.join(contestants)}: {kernel}" for kernel, contestants in names.items()]


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; NaN of no values."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


@contextlib.contextmanager
def _workers(names: Sequence[str] | Mapping[str, Any], device: str) -> Iterator[dict[str, Worker]]:
    """Yield a worker for each contestant, not started yet, and end them all."""
    with RunFolder() as home:
        workers = {name: _worker(name, home, device) for name in names}
        try:
            yield workers
        finally:
            for worker in workers.values():
                worker.kill()


def _worker(name: str, home: pathlib.Path, device: str) -> Worker:
    row = CONTESTANTS[name]
    service = ("multilstm.bench.contestants.service:serve", row.target, *row.arguments)
    return Worker(name, service, device, row.environment, home, renew=False)


def _prepare(worker: Worker, shape: Shape, dtype: str, device: str, timeout_s: float) -> dict[str, Any]:
    message = {"call": "prepare", "shape": dataclasses.asdict(shape), "dtype": dtype, "device": device}
    return worker.call(message, timeout_s)


def _checked(
    worker: Worker, name: str, shape: Shape, desired: Arrays, device: str, timeout_s: float
) -> tuple[list[Row], dict[str, str]]:
    """Return a row for each quantity of a contestant, with its distance or failure, and its versions."""
    try:
        prepared = _prepare(worker, shape, "float32", device, timeout_s)
    except (WorkerError, EngineUnavailableError) as error:
        return [Row(shape.name, name, quantity, failure=str(error)) for quantity in QUANTITIES], {}
    rows = []
    for quantity, answers in prepared["answers"].items():
        row = Row(
            shape.name,
            name,
            quantity,
            first_s=prepared["first_s"][quantity],
            implementation=prepared["implementations"][quantity],
        )
        rows.append(row)
        if answers.keys() != desired[quantity].keys():
            row.failure = f"it answers {', '.join(answers) or 'nothing'}, expected {', '.join(desired[quantity])}"
            continue
        row.distance = largest_distance(quantity, answers, desired[quantity], shape, device)
        if row.distance > 1:
            row.failure = f"its answer is {row.distance:.2g} times the tolerance away"
    return rows, prepared["versions"]


def _time_all(
    rows: Sequence[Row],
    workers: Mapping[str, Worker],
    method: Method,
    order: random.Random,
    follow: Callable[[str], None],
    timeout_s: float,
) -> None:
    """Time the rows of one shape that have no failure, one quantity after the other."""

    def timer(row: Row) -> list[float] | None:
        message = {"call": "time", "quantity": row.quantity, "method": dataclasses.asdict(method)}
        try:
            seconds: list[float] = workers[row.contestant].call(message, timeout_s)["seconds"]
        except WorkerError as error:  # its process is gone, and with it all that it had prepared for this shape
            for other in rows:
                if other.contestant == row.contestant and other.failure is None:
                    other.fail(str(error))
            return None
        return seconds

    for quantity in QUANTITIES:
        ready = {row.contestant: row for row in rows if row.quantity == quantity and row.failure is None}
        timings = interleave(
            {name: lambda row=row: timer(row) for name, row in ready.items()},  # type: ignore[misc]
            method,
            order,
            JUDGE,
            lambda line, place=f"{rows[0].shape} {quantity}": follow(f"{place}: {line}"),  # type: ignore[misc]
        )
        for name, timing in timings.items():
            ready[name].samples, ready[name].repeated = timing
