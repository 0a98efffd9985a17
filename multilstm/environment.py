"""What a result depends on besides the code: machine, versions, options."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multilstm.engines.registry import ENGINES, for_process
from multilstm.version import __version__

if TYPE_CHECKING:
    from multilstm.parts import Options

PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch", "numpy", "safetensors")


def environment(
    options: Options | None = None, engines: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The environment as JSON data; no host name, no user, no path.

    Args:
        options: of a suite.
        engines: what engines say of themselves on a GPU: versions, devices, switches.
    """
    device = "cpu" if options is None else options.device
    found: dict[str, Any] = {
        "multilstm": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions(),
        "xla_flags": for_process(device, ENGINES["jax-scan"].on(device), os.environ).get("XLA_FLAGS", ""),
    }
    if options is not None:
        found["options"] = dataclasses.asdict(options)
    if engines:
        found["engines"] = engines
    return found


def versions() -> dict[str, str]:
    """The installed versions of the packages that compute."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
