"""NumPy as the reference sees it: see `Platform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def versions() -> dict[str, str]:
    """NumPy."""
    return {"numpy": np.__version__}


def devices() -> list[str]:
    """The CPU, whatever the job's device."""
    return ["cpu"]


def no_gpu() -> str:
    """It has no use for one."""
    return "the reference computes in NumPy, on the CPU alone; judge other engines on the GPU"


def set_tf32(allowed: bool) -> None:
    """Nothing is rounded."""


def make_deterministic() -> None:
    """It is."""


def launched(function: Callable[[], Any]) -> tuple[Any, set[str]]:
    """Nothing runs on a GPU."""
    return function(), set()


def switches() -> dict[str, str]:
    """It computes in float64, whatever the job's dtype."""
    return {"dtype": "float64"}
