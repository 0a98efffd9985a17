"""What every framework is asked besides computing: versions, devices, switches, and what it launched on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from multilstm.errors import EngineUnavailableError


class Platform(Protocol):
    """The modules `jax_platform`, `tensorflow_platform`, `torch_platform` and `numpy_platform`."""

    def versions(self) -> dict[str, str]:
        """The versions of the packages that compute."""

    def devices(self) -> list[str]:
        """What this process can compute on, the default of a GPU job first: `gpu:0 NVIDIA H200`, `cpu`."""

    def no_gpu(self) -> str:
        """Why this process cannot compute on a GPU, and what to do, in one line; empty where it can."""

    def set_tf32(self, allowed: bool) -> None:
        """Whether a GPU may round the factors of float32 products to TF32 from now on, in cuDNN too."""

    def make_deterministic(self) -> None:
        """Asks for the same bits from the same numbers; what must be set before a process starts, `registry` sets."""

    def launched(self, function: Callable[[], Any]) -> tuple[Any, set[str]]:
        """Calls it: what it gave, and the names of the kernels that ran on a GPU meanwhile, by the profiler."""

    def switches(self) -> dict[str, str]:
        """Precision and determinism as they are set in this process: TF32, x64, matmul precision, threads."""


def require_gpu(platform: Platform) -> None:
    """Returns if this process can compute on a GPU.

    Raises:
        EngineUnavailableError: where it cannot, with the reason.
    """
    missing = platform.no_gpu()
    if missing:
        raise EngineUnavailableError(f"no GPU: {missing}; or use the device 'cpu'")
