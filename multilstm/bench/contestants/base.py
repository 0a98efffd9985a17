"""The contract of a contestant: it prepares the call that computes one mode of one job."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from multilstm.bench.modes import Mode
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks.platform import Platform, require_gpu
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array

__all__ = ["AbstractContestant", "Run", "named_outputs", "no_phases"]


def no_phases() -> dict[str, float]:
    """Return no phases: the framework compiles in the first call, or never."""
    return {}


@dataclasses.dataclass(frozen=True)
class Run:
    """The functions that compute one mode, as often as they are called.

    Attributes:
        call: computes, and returns when the values are there.
        answers: converts the first return value of `call` to arrays by the names of `agreement.desired_answers`.
        implementation: returns the kernel of the recurrent layers, as compiled or dispatched; needs a first call.
        compile: traces and compiles before the first call; returns the seconds of `trace_s` and `compile_s`.
        first: makes the first call, which may be watched; None: `call`.
        program_bytes: returns the memory of the compiled program besides its arguments and results; None: unknown.
    """

    call: Callable[[], Any]
    answers: Callable[[Any], dict[str, Array]]
    implementation: Callable[[], str]
    compile: Callable[[], dict[str, float]] = no_phases
    first: Callable[[], Any] | None = None
    program_bytes: Callable[[], int | None] = lambda: None


class AbstractContestant(abc.ABC):
    """One framework's way to compute a model.

    Attributes:
        platform: the module of `multilstm.frameworks` for its framework's devices; None if it has CPUs only.
        device: `cpu` or `gpu`, the device that computes.
    """

    platform: Platform | None = None
    device = "cpu"

    @abc.abstractmethod
    def prepare(self, job: Job, mode: Mode) -> Run:
        """Return the run, with weights on the device; arrays too, unless the mode takes them from the host.

        Raises:
            UnsupportedError: for a model, dtype or mode that it does not compute.
        """

    @abc.abstractmethod
    def product(self, left: Array, right: Array) -> Callable[[], Any] | None:
        """Return a function that multiplies two matrices on the device, or None if the framework has none."""

    @final
    def use_gpu(self) -> None:
        """Compute on the GPU from now on.

        Raises:
            EngineUnavailableError: if there is no GPU, or this contestant computes on CPUs only.
        """
        if self.platform is None:
            raise EngineUnavailableError("it computes on CPUs alone")
        require_gpu(self.platform)
        self.device = "gpu"

    @final
    def set_tf32(self, allowed: bool) -> None:
        """Let a GPU round float32 products to TF32, or not; also before anything is computed on a CPU."""
        if self.platform is not None:
            self.platform.set_tf32(allowed)

    @final
    def launched(self, call: Callable[[], Any]) -> set[str]:
        """Call the function and return the names of the kernels that it ran on the GPU; none on a CPU."""
        if self.platform is None or self.device == "cpu":
            return set()
        return self.platform.launched(call)[1]

    @abc.abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of its packages."""

    def switches(self) -> dict[str, str]:
        """Return precision, threads and compiler flags of its process."""
        return {} if self.platform is None else self.platform.switches()


def named_outputs(batches: Iterable[Iterable[Array]]) -> dict[str, Array]:
    """Return outputs by name, such as `0/output:1` for the second output of the first batch.

    Args:
        batches: the outputs of each batch.
    """
    return {
        f"{number}/output:{index}": array
        for number, outputs in enumerate(batches)
        for index, array in enumerate(outputs)
    }


def prefixed(kind: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays with the kind before their names, such as `gradient:lstm/kernel`."""
    return {f"{kind}:{name}": array for name, array in arrays.items()}
