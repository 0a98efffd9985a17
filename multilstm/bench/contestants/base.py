"""The contract of a contestant, and its side of the process: it prepares one problem, answers, and times itself."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from typing import Any, NamedTuple, final

from multilstm.bench.shapes import Problem, Shape, problem
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks.kernels import with_algorithm
from multilstm.frameworks.platform import Platform, require_gpu
from multilstm.frameworks.targets import import_target
from multilstm.spec.arrays import Array

FORWARD, GRADIENT = "forward", "gradient"
QUANTITIES = (FORWARD, GRADIENT)


class Run(NamedTuple):
    """One quantity, ready to be computed again and again.

    Attributes:
        call: computes it, and returns when it is there.
        arrays: the answer by name, from what `call` returned: `sequence [batch, timesteps, width]` for `forward`,
            `layer/direction/weight` in Keras's layout for `gradient`.
        implementation: after a first call, the kernel that computes it, read from what was compiled or dispatched.
    """

    call: Callable[[], Any]
    arrays: Callable[[Any], dict[str, Array]]
    implementation: Callable[[], str]


class AbstractContestant(abc.ABC):
    """One framework's LSTM.

    Attributes:
        platform: the module of `multilstm.engines` that knows its framework's devices; None: it has CPUs alone.
        device: `cpu` or `gpu`, where it computes.
    """

    platform: Platform | None = None
    device = "cpu"

    @abc.abstractmethod
    def prepare(self, problem: Problem) -> dict[str, Run]:
        """What can be timed, by quantity; weights and inputs are already where they are computed with."""

    @final
    def use_gpu(self) -> None:
        """Computes on the GPU from now on, in IEEE float32.

        Raises:
            EngineUnavailableError: where there is none, or nothing of this contestant computes on one.
        """
        if self.platform is None:
            raise EngineUnavailableError("it computes on CPUs alone")
        require_gpu(self.platform)
        self.platform.set_tf32(False)
        self.device = "gpu"

    @final
    def launched(self, call: Callable[[], Any]) -> set[str]:
        """Calls it: the names of the kernels that ran on the GPU meanwhile; none on a CPU."""
        if self.platform is None or self.device == "cpu":
            return set()
        return self.platform.launched(call)[1]

    @abc.abstractmethod
    def versions(self) -> dict[str, str]:
        """The versions that matter, and the number of threads."""


def weight_names(shape: Shape) -> list[tuple[int, int, str]]:
    """(layer, direction, prefix) of every LSTM, the prefix such as `0/forward/`."""
    names = ("forward", "backward")[: shape.directions]
    return [(layer, index, f"{layer}/{name}/") for layer in range(shape.layers) for index, name in enumerate(names)]


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
        return {"seconds": self._time(self._runs[message["quantity"]].call, message["seconds"], message["calls"])}

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

    @staticmethod
    def _time(call: Callable[[], Any], seconds: float, calls: int) -> list[float]:
        """At least one call after one that is not counted, then more until the seconds or the calls are spent."""
        call()
        samples: list[float] = []
        while not samples or (sum(samples) < seconds and len(samples) < calls):
            start = time.perf_counter()
            call()
            samples.append(time.perf_counter() - start)
        return samples


def load(target: str, *arguments: str) -> AbstractContestant:
    """The contestant `module:Class`, made in this process."""
    contestant: AbstractContestant = import_target(target)(*arguments)
    return contestant


def serve(target: str, *arguments: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a worker answers for the contestant `module:Class`.

    `{"call": "prepare", "shape": ..., "dtype": ..., "device": ...}` gives versions, answers, the seconds of first calls
    and the implementations;
    `{"call": "use_gpu"}` raises where it finds none;
    `{"call": "time", "quantity": ..., "seconds": ..., "calls": ...}` gives the seconds of each call.
    """
    return _Service(load(target, *arguments))
