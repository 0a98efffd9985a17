"""Measurement of contestants on workloads: contestants whose answers agree with the reference's are timed.

Every contestant has a process of its own, with its framework's own number of threads. Only one process computes at a
time. See `multilstm.bench.rounds` for the method.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from multilstm.bench.agreement import agreement, desired_answers
from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.modes import Mode
from multilstm.bench.results import Benchmark, Contestant, Product, Row
from multilstm.bench.rounds import Method, interleave
from multilstm.bench.workload import Workload
from multilstm.errors import EngineUnavailableError, InputError, UnsupportedError, WorkerError
from multilstm.jobs.dtypes import stored
from multilstm.jobs.wire import job_to_tree
from multilstm.spec.arrays import Array
from multilstm.workers import RunFolder, Worker, WorkerPool

__all__ = ["Measurement", "without_gpu"]

PHASES = ("build_s", "trace_s", "compile_s", "first_s")
_LOST = (WorkerError, EngineUnavailableError, UnsupportedError, InputError)


@dataclasses.dataclass
class Measurement:
    """The parts of one run.

    Attributes:
        result: receives the rows as they are measured; after an interruption it has those before.
        method: numbers of the method.
        base: the contestant that is measured again together with a noisy one.
        follow: receives a line before each step.
        timeout_s: seconds after which one answer is given up.
    """

    result: Benchmark
    method: Method
    base: str
    follow: Callable[[str], None] = lambda _: None
    timeout_s: float = 1800.0

    def run(self, workloads: Sequence[Workload], modes: Sequence[Mode], contestants: Sequence[str]) -> None:
        """Time contestants on workloads.

        Args:
            workloads: the models with their data.
            modes: the modes of each.
            contestants: names of `CONTESTANTS`.
        """
        order = self.method.order()
        with _workers(contestants, self.result.device) as workers, WorkerPool(self.timeout_s) as pool:
            self._measure_product(workers)
            for workload in workloads:
                for mode in modes:
                    self.follow(f"{workload.name} {mode.name}: the reference computes")
                    desired = desired_answers(pool, workload, mode, self.result.dtype)
                    able = [name for name in contestants if mode.name in CONTESTANTS[name].modes]
                    rows = [self._checked(workers[name], name, workload, mode, desired) for name in able]
                    try:
                        self._time(rows, workers, order)
                    finally:  # also of an interrupted pass
                        self.result.rows += [row for row in rows if row.samples or row.failure]

    def _checked(self, worker: Worker, name: str, workload: Workload, mode: Mode, desired: Mapping[str, Array]) -> Row:
        """Return the row of a contestant without times: with its phases and distance, or its failure."""
        self.follow(f"{workload.name} {mode.name}: {name} prepares")
        result, row = self.result, Row(workload.name, name, mode.name)
        job = workload.job(mode, result.dtype, result.device, CONTESTANTS[name].layers)
        message = {"call": "prepare", "mode": mode.name, "job": job_to_tree(job)}
        try:
            prepared = worker.call(message, self.timeout_s)
        except _LOST as error:
            row.failure = str(error)
            return row
        result.contestants.setdefault(name, Contestant(prepared["versions"], prepared["switches"]))
        for phase in PHASES:
            setattr(row, phase, prepared["phases"].get(phase))
        row.implementation, row.program_bytes = prepared["implementation"], prepared["program_bytes"]
        judged = agreement(mode, prepared["answers"], desired, workload, result.dtype, result.device)
        row.error, row.distance, row.failure = judged.error, judged.distance, judged.reason or None
        return row

    def _time(self, rows: Sequence[Row], workers: Mapping[str, Worker], order: Any) -> None:
        """Time the rows of one mode that have no failure."""
        joules: dict[str, list[float]] = {}
        call = {"call": "time", "method": dataclasses.asdict(self.method)}

        def timer(row: Row) -> list[float] | None:
            try:
                answer = workers[row.engine].call(call, self.timeout_s)
            except _LOST as error:
                row.fail(str(error))
                return None
            if answer["joules"] is not None:
                joules.setdefault(row.engine, []).append(answer["joules"] / len(answer["seconds"]))
            seconds: list[float] = answer["seconds"]
            return seconds

        ready = {row.engine: row for row in rows if row.failure is None}
        timings = interleave(
            {name: lambda row=row: timer(row) for name, row in ready.items()},  # type: ignore[misc]
            self.method,
            order,
            self.base,
            lambda line: self.follow(f"{rows[0].workload} {rows[0].mode}: {line}"),
        )
        for name, timing in timings.items():
            row = ready[name]
            row.samples, row.repeated = timing
            row.joules = sum(joules[name]) / len(joules[name]) if name in joules else None
            with contextlib.suppress(*_LOST):
                row.peak_bytes = workers[name].call({"call": "finish"}, self.timeout_s)["peak_bytes"]

    def _measure_product(self, workers: Mapping[str, Worker]) -> None:
        """Measure the peak: the fastest product of two matrices that any contestant computes."""
        self.follow("the peak: every contestant multiplies two matrices")
        call = {"call": "product", "dtype": stored(self.result.dtype), "method": dataclasses.asdict(self.method)}
        for name, worker in workers.items():
            try:
                if self.result.device == "gpu":
                    worker.call({"call": "use_gpu"}, self.timeout_s)
                answer = worker.call(call, self.timeout_s)
            except _LOST:
                continue  # `_checked` meets the same failure, and records it
            best = answer["flops"] / min(answer["seconds"], default=float("inf"))
            if best and (self.result.product is None or best > self.result.product.flops_per_s):
                self.result.product = Product(best, name)


def without_gpu(contestants: Sequence[str], timeout_s: float = 600.0) -> dict[str, str]:
    """Return the contestants that find no GPU, with the reason; each is tried in a process of its own."""
    reasons = {}
    for name in contestants:
        with _workers((name,), "gpu") as workers:
            try:
                workers[name].call({"call": "use_gpu"}, timeout_s)
            except EngineUnavailableError as error:
                reasons[name] = str(error)
            except WorkerError:  # its process failed; `Measurement` tries it again, and reports the failure
                continue
    return reasons


@contextlib.contextmanager
def _workers(names: Sequence[str], device: str) -> Iterator[dict[str, Worker]]:
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
