"""The service of a contestant's process: prepares one mode of one job, returns its answers, and times its calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from multilstm.bench.contestants.base import AbstractContestant, Run
from multilstm.bench.energy import joules_counter
from multilstm.bench.modes import mode_named
from multilstm.bench.rounds import Method, measured, sample, warm_up
from multilstm.frameworks.kernels import with_algorithm
from multilstm.frameworks.machine import forget_peak_memory, peak_memory
from multilstm.frameworks.targets import import_target
from multilstm.jobs.wire import job_from_tree

PRODUCT = 2048  # rows of the square matrices whose product is timed


class _Service:
    def __init__(self, contestant: AbstractContestant) -> None:
        self._contestant = contestant
        self._run: Run | None = None
        self._is_slow = False
        self._peak_is_known = False

    def __call__(self, message: dict[str, Any]) -> dict[str, Any]:
        call = message["call"]
        if call == "use_gpu":
            self._contestant.use_gpu()
            return {}
        if call == "prepare":
            return self._prepare(message)
        if call == "product":
            return self._product(message["dtype"], Method(**message["method"]))
        if call == "finish":
            self._run = None
            return {"peak_bytes": peak_memory() if self._peak_is_known else None}
        assert self._run is not None
        method, joules = Method(**message["method"]), joules_counter(self._contestant.device)
        if not self._is_slow:
            warm_up(self._run.call, method)
        before = None if joules is None else joules()
        seconds = measured(self._run.call, method)
        used = None if joules is None or before is None else joules() - before
        self._is_slow = min(seconds) > method.slow_s
        return {"seconds": seconds, "joules": used}

    def _prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        job, mode = job_from_tree(message["job"]), mode_named(message["mode"])
        self._run = None
        self._peak_is_known = forget_peak_memory()
        if job.device == "gpu":
            self._contestant.use_gpu()
        self._contestant.set_tf32(job.dtype == "tf32")
        begin = time.perf_counter()
        run = self._contestant.prepare(job, mode)
        phases = {"build_s": time.perf_counter() - begin, **run.compile()}
        begin = time.perf_counter()
        value = (run.first or run.call)()
        phases["first_s"] = time.perf_counter() - begin
        answers = run.answers(value)
        implementation = with_algorithm(run.implementation(), self._contestant.launched(run.call))
        self._run, self._is_slow = run, False  # the first call may compile, so only measured calls decide
        return {
            "answers": answers,
            "phases": phases,
            "implementation": implementation,
            "program_bytes": run.program_bytes(),
            "versions": self._contestant.versions(),
            "switches": self._contestant.switches(),
        }

    def _product(self, dtype: str, method: Method) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        left, right = (rng.standard_normal((PRODUCT, PRODUCT)).astype(dtype) for _ in range(2))
        product = self._contestant.product(left, right)
        return {"flops": 2 * PRODUCT**3, "seconds": [] if product is None else sample(product, method)}


def serve(target: str, *arguments: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service of the contestant `module:Class`.

    Messages and their answers:

        {"call": "prepare", "mode", "job"}      answers, phases, implementation, program_bytes, versions, switches
        {"call": "time", "method"}              seconds of each measured call, and joules of all or None
        {"call": "finish"}                      peak_bytes since `prepare`, or None; the run is dropped
        {"call": "product", "dtype", "method"}  flops, and seconds of each measured product of two matrices
        {"call": "use_gpu"}                     nothing; raises EngineUnavailableError without a GPU
    """
    return _Service(import_target(target)(*arguments))
