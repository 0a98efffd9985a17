"""Interface of a framework, apart from computation: versions, devices, switches, and the kernels of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from multilstm.errors import EngineUnavailableError


class Platform(Protocol):
    """Interface of the modules `jax`, `tensorflow`, `torch` and `numpy` of this folder."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that compute."""

    def devices(self) -> list[str]:
        """Return the devices of this process, the default of a GPU job first: `gpu:0 NVIDIA H200`, `cpu`."""

    def no_gpu(self) -> str:
        """Return why this process cannot compute on a GPU, with a remedy, in one line; empty where it can."""

    def set_tf32(self, allowed: bool) -> None:
        """Let a GPU round the factors of float32 products to TF32 from now on, or not, in cuDNN too."""

    def make_deterministic(self) -> None:
        """Select kernels that give the same bits every time; `process_environment` sets the variables for it."""

    def launched(self, function: Callable[[], Any]) -> tuple[Any, set[str]]:
        """Call the function; return its value, and the names of the kernels that the profiler saw on a GPU."""

    def switches(self) -> dict[str, str]:
        """Return precision and determinism as set in this process: TF32, x64, matmul precision, threads."""


def require_gpu(platform: Platform) -> None:
    """Return if this process can compute on a GPU.

    Raises:
        EngineUnavailableError: where it cannot, with the reason.
    """
    missing = platform.no_gpu()
    if missing:
        raise EngineUnavailableError(f"no GPU: {missing}; or use the device 'cpu'")
