"""Contestants in turn, in one interleaved run: who agrees is timed, round after round, and ratios are of medians.

Every contestant has a process of its own, with its framework's own number of threads. Only one computes at a time. In
a round each is timed once for each quantity, so that what the machine does meanwhile falls on all of them alike.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.contestants.base import GRADIENT, QUANTITIES
from multilstm.bench.shapes import Shape
from multilstm.compare.tolerances import tolerance
from multilstm.errors import EngineUnavailableError, WorkerError
from multilstm.spec.arrays import Array
from multilstm.workers import Worker

JUDGE = "jax-scan"  # computed in float64; the parity suite holds it to the reference
CALL_SECONDS = 0.3
CALLS = 50


@dataclasses.dataclass
class Row:
    """One contestant's time for one quantity of one shape.

    Attributes:
        shape: its name.
        contestant: its name.
        quantity: `forward` or `gradient`.
        samples: seconds of each call, a list by round; empty where it was not timed.
        first_s: seconds of the first call, compilation included.
        distance: the largest difference from the judge's answer, in units of the tolerance; above 1 it disagrees.
        failure: why there is no time, or None.
        implementation: the kernel that computed it, as it was compiled or dispatched; None where nothing was computed.
    """

    shape: str
    contestant: str
    quantity: str
    samples: list[list[float]] = dataclasses.field(default_factory=list)
    first_s: float | None = None
    distance: float | None = None
    failure: str | None = None
    implementation: str | None = None

    @property
    def median_s(self) -> float | None:
        """The median of all samples, in seconds."""
        return statistics.median(sample for round_ in self.samples for sample in round_) if self.samples else None


def measure(
    shapes: Sequence[Shape],
    contestants: Sequence[str],
    rounds: int,
    follow: Callable[[str], None] = lambda _: None,
    timeout_s: float = 1800.0,
    device: str = "cpu",
) -> tuple[list[Row], dict[str, dict[str, str]]]:
    """Times contestants on shapes.

    Args:
        shapes: the problems.
        contestants: names of `CONTESTANTS`.
        rounds: how often each is timed; a round has up to 50 calls, or as many as 0.3 s allow, and one at least.
        follow: is told what is being done.
        timeout_s: seconds after which one answer is given up.
        device: `cpu` or `gpu`; the judge computes on the CPU.

    Returns:
        A row for every shape, contestant and quantity, and the versions by contestant.
    """
    rows: list[Row] = []
    versions: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="multilstm-") as home:
        workers = {name: _worker(name, pathlib.Path(home), device) for name in dict.fromkeys((JUDGE, *contestants))}
        judge = workers[JUDGE] if device == "cpu" else _worker(JUDGE, pathlib.Path(home), "cpu")
        try:
            for shape in shapes:
                desired = _prepare(judge, shape, "float64", "cpu", timeout_s)["answers"]
                ready = []
                for name in contestants:
                    follow(f"{shape.name}: {name} prepares")
                    found, about = _checked(workers[name], name, shape, desired, device, timeout_s)
                    versions.setdefault(name, about)
                    rows += found
                    ready += [row for row in found if row.failure is None]
                for number in range(rounds):
                    follow(f"{shape.name}: round {number + 1} of {rounds}")
                    for quantity in QUANTITIES:
                        turn = [row for row in ready if row.quantity == quantity and row.failure is None]
                        for row in turn[number % len(turn) :] + turn[: number % len(turn)] if turn else []:
                            same = [one for one in ready if one.contestant == row.contestant]
                            _time(workers[row.contestant], row, same, timeout_s)
        finally:
            for worker in (judge, *workers.values()):
                worker.kill()
    return rows, versions


def without_gpu(contestants: Sequence[str], timeout_s: float = 600.0) -> dict[str, str]:
    """Those that find no GPU, with the reason; each is asked in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="multilstm-") as home:
        for name in contestants:
            worker = _worker(name, pathlib.Path(home), "gpu")
            try:
                worker.call({"call": "use_gpu"}, timeout_s)
            except EngineUnavailableError as error:
                found[name] = str(error)
            except WorkerError:  # it broke, and will be asked again, in `measure`, which tells of it
                continue
            finally:
                worker.kill()
    return found


def ratio(rows: Sequence[Row], shape: str, quantity: str, contestant: str, base: str = "jax-scan") -> float | None:
    """How many times longer a contestant takes than `base`: the ratio of their medians; None where one is missing."""
    medians = {row.contestant: row.median_s for row in rows if (row.shape, row.quantity) == (shape, quantity)}
    one, other = medians.get(contestant), medians.get(base)
    return None if one is None or other is None else one / other


def ratio_by_round(
    rows: Sequence[Row], shape: str, quantity: str, contestant: str, base: str = "jax-scan"
) -> list[float]:
    """The same for each round alone: their spread says how far to believe `ratio`."""
    found = {row.contestant: row.samples for row in rows if (row.shape, row.quantity) == (shape, quantity)}
    pairs = zip(found.get(contestant, []), found.get(base, []), strict=False)
    return [statistics.median(one) / statistics.median(other) for one, other in pairs]


def computed_by(kernels: Mapping[str, str]) -> list[str]:
    """A line for those that the same kernel computed; `kernels` is what computed, by name."""
    names: dict[str, list[str]] = {}
    for name, kernel in kernels.items():
        names.setdefault(kernel, []).append(name)
    return [f"computed by {', '.join(who)}: {kernel}" for kernel, who in names.items()]


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean; NaN of nothing."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


def _worker(name: str, home: pathlib.Path, device: str) -> Worker:
    row = CONTESTANTS[name]
    service = ("multilstm.bench.contestants.base:serve", row.target, *row.arguments)
    return Worker(name, service, device, row.environment, home, renew=False)


def _prepare(worker: Worker, shape: Shape, dtype: str, device: str, timeout_s: float) -> dict[str, Any]:
    message = {"call": "prepare", "shape": dataclasses.asdict(shape), "dtype": dtype, "device": device}
    return worker.call(message, timeout_s)


def _checked(
    worker: Worker, name: str, shape: Shape, desired: dict[str, dict[str, Array]], device: str, timeout_s: float
) -> tuple[list[Row], dict[str, str]]:
    try:
        prepared = _prepare(worker, shape, "float32", device, timeout_s)
    except (WorkerError, EngineUnavailableError) as error:
        return [Row(shape.name, name, quantity, failure=str(error)) for quantity in QUANTITIES], {}
    rows = []
    for quantity, answers in prepared["answers"].items():
        ran = prepared["implementations"][quantity]
        if answers.keys() != desired[quantity].keys():
            told = f"it answers {', '.join(answers) or 'nothing'}, expected {', '.join(desired[quantity])}"
            rows.append(Row(shape.name, name, quantity, failure=told, implementation=ran))
            continue
        distance = max(
            _distance(quantity, answers[key], array, shape, device) for key, array in desired[quantity].items()
        )
        failure = None if distance <= 1 else f"its answer is {distance:.2g} times the tolerance away"
        rows.append(Row(shape.name, name, quantity, [], prepared["first_s"][quantity], distance, failure, ran))
    return rows, prepared["versions"]


def _distance(quantity: str, actual: Array, desired: Array, shape: Shape, device: str) -> float:
    row = tolerance("float32", device, "gradient" if quantity == GRADIENT else "sequence")
    if actual.shape != desired.shape:
        return math.inf
    if quantity != GRADIENT and shape.shortest is not None:
        counts = np.arange(shape.timesteps) < shape.lengths()[:, None]
        actual, desired = actual[counts], desired[counts]
    scale = np.abs(desired).max() if row.measure == "tensor" else np.abs(desired)
    found = float((np.abs(actual - desired) / (row.atol + row.rtol * scale)).max()) / _growth(shape)
    return found if math.isfinite(found) else math.inf


def _growth(shape: Shape) -> float:
    """How much larger than the row's a rounding error may be: the row is for sums of up to 200 products a gate.

    A sum of n products in float32 errs by about sqrt(n) (Higham, Accuracy and Stability of Numerical Algorithms,
    section 3.1), and every layer adds its own.
    """
    widest = max(shape.features, shape.directions * shape.units * (shape.layers > 1)) + shape.units
    return max(1.0, math.sqrt(widest / 200)) * shape.layers


def _time(worker: Worker, row: Row, same: Sequence[Row], timeout_s: float) -> None:
    """One round; who fails in it loses the rows of this shape that are the `same` contestant's: its process is gone."""
    message = {"call": "time", "quantity": row.quantity, "seconds": CALL_SECONDS, "calls": CALLS}
    try:
        row.samples.append(worker.call(message, timeout_s)["seconds"])
    except WorkerError as error:
        for one in same:
            one.samples, one.failure = [], str(error)
