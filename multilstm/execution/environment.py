"""What a result depends on besides the code: machine, versions, options."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multilstm.engines.registry import ENGINES
from multilstm.frameworks.machine import cores, processor
from multilstm.frameworks.process_environment import for_process
from multilstm.version import __version__

if TYPE_CHECKING:
    from multilstm.execution.options import Options

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
        "processor": processor(),
        "cores": cores(),
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
