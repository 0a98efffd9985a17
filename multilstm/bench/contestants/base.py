"""The contract of a contestant: it prepares the functions that compute one problem."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, final

from multilstm.bench.shapes import Problem, Shape
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks.platform import Platform, require_gpu
from multilstm.spec.arrays import Array

FORWARD, GRADIENT = "forward", "gradient"
QUANTITIES = (FORWARD, GRADIENT)


class Run(NamedTuple):
    """The functions that compute one quantity, as often as they are called.

    Attributes:
        call: computes the quantity, and returns when the values are there.
        arrays: converts the return value of `call` to arrays by name. Names are `sequence`, of shape
            `[batch, timesteps, width]`, for `forward`, and `layer/direction/weight` in Keras's layout for `gradient`.
        implementation: returns the kernel that computes it, as compiled or dispatched; needs a first call.
    """

    call: Callable[[], Any]
    arrays: Callable[[Any], dict[str, Array]]
    implementation: Callable[[], str]


class AbstractContestant(abc.ABC):
    """One framework's LSTM.

    Attributes:
        platform: the module of `multilstm.frameworks` for its framework's devices; None if it has CPUs only.
        device: `cpu` or `gpu`, the device that computes.
    """

    platform: Platform | None = None
    device = "cpu"

    @abc.abstractmethod
    def prepare(self, problem: Problem) -> dict[str, Run]:
        """Return the runs by quantity, with weights and inputs already on the device."""

    @final
    def use_gpu(self) -> None:
        """Compute on the GPU from now on, in IEEE float32.

        Raises:
            EngineUnavailableError: if there is no GPU, or this contestant computes on CPUs only.
        """
        if self.platform is None:
            raise EngineUnavailableError("it computes on CPUs alone")
        require_gpu(self.platform)
        self.platform.set_tf32(False)
        self.device = "gpu"

    @final
    def launched(self, call: Callable[[], Any]) -> set[str]:
        """Call the function and return the names of the kernels that it ran on the GPU; none on a CPU."""
        if self.platform is None or self.device == "cpu":
            return set()
        return self.platform.launched(call)[1]

    @abc.abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of its packages, and its number of threads if the framework reports it."""


def weight_names(shape: Shape) -> list[tuple[int, int, str]]:
    """Return (layer, direction, prefix) of every LSTM; a prefix is for example `0/forward/`."""
    names = ("forward", "backward")[: shape.directions]
    return [(layer, index, f"{layer}/{name}/") for layer in range(shape.layers) for index, name in enumerate(names)]
