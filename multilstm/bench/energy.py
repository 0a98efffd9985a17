"""The energy of a GPU, from NVML's counter, if the package pynvml is installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

__all__ = ["joules_counter"]


def joules_counter(device: str) -> Callable[[], float] | None:
    """Return a function that reads the joules that the GPU has used since its driver started.

    The counter moves every 20 to 100 ms (`nvmlDeviceGetTotalEnergyConsumption`), so shorter measurements mean little.

    Args:
        device: `cpu` or `gpu`.

    Returns:
        None on a CPU, without pynvml, and for a GPU without the counter.
    """
    if device != "gpu":
        return None
    try:
        nvml = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None
    try:
        nvml.nvmlInit()
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        handle = nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdecimal() else 0)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return None
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3  # millijoules
