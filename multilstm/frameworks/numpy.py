"""NumPy, as the platform of the reference; see `Platform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def versions() -> dict[str, str]:
    """Return the version of NumPy."""
    return {"numpy": np.__version__}


def devices() -> list[str]:
    """Return the CPU, for a job of any device."""
    return ["cpu"]


def no_gpu() -> str:
    """Return the reason: NumPy computes on CPUs only."""
    return "the reference computes in NumPy, on the CPU alone; judge other engines on the GPU"


def set_tf32(allowed: bool) -> None:
    """Do nothing: NumPy has no TF32."""


def make_deterministic() -> None:
    """Do nothing: NumPy is deterministic."""


def launched(function: Callable[[], Any]) -> tuple[Any, set[str]]:
    """Call the function; return its value and no kernels, since none run on a GPU."""
    return function(), set()


def switches() -> dict[str, str]:
    """Return the dtype: float64, for a job of any dtype."""
    return {"dtype": "float64"}
