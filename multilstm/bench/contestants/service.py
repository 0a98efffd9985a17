"""The service of a contestant's process: prepares one problem, returns its answers, and times its calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from multilstm.bench.contestants.base import AbstractContestant, Run
from multilstm.bench.rounds import Method, sample
from multilstm.bench.shapes import Shape, problem
from multilstm.frameworks.kernels import with_algorithm
from multilstm.frameworks.targets import import_target


class _Service:
    def __init__(self, contestant: AbstractContestant) -> None:
        self._contestant = contestant
        self._runs: dict[str, Run] = {}

    def __call__(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["call"] == "use_gpu":
            self._contestant.use_gpu()
            return {}
        if message["call"] == "prepare":
            if message["device"] == "gpu":
                self._contestant.use_gpu()
            return self._prepare(Shape(**message["shape"]), message["dtype"])
        return {"seconds": sample(self._runs[message["quantity"]].call, Method(**message["method"]))}

    def _prepare(self, shape: Shape, dtype: str) -> dict[str, Any]:
        self._runs = self._contestant.prepare(problem(shape, dtype))
        answers, first_s, implementations = {}, {}, {}
        for quantity, run in self._runs.items():
            start = time.perf_counter()
            value = run.call()
            first_s[quantity] = time.perf_counter() - start
            answers[quantity] = run.arrays(value)
            implementations[quantity] = with_algorithm(run.implementation(), self._contestant.launched(run.call))
        return {
            "versions": self._contestant.versions(),
            "answers": answers,
            "first_s": first_s,
            "implementations": implementations,
        }


def serve(target: str, *arguments: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service of the contestant `module:Class`.

    Messages and their answers:

        {"call": "prepare", "shape", "dtype", "device"}    versions, answers, first_s, implementations
        {"call": "use_gpu"}                                nothing; raises EngineUnavailableError without a GPU
        {"call": "time", "quantity", "method"}             seconds of each measured call
    """
    return _Service(import_target(target)(*arguments))
