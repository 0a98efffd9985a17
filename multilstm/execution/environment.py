"""The environment of a run: machine, versions, options."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping
from typing import Any

from multilstm.engines.registry import engine_row
from multilstm.execution.options import Options
from multilstm.frameworks.machine import cores, processor
from multilstm.frameworks.packages import versions
from multilstm.frameworks.process_environment import for_process
from multilstm.version import __version__


def environment(
    options: Options | None = None, engines: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the environment as JSON data, without host name, user or path.

    Args:
        options: the options of a run.
        engines: on a GPU, the versions, devices and switches of every engine, by name.
    """
    device = "cpu" if options is None else options.device
    facts: dict[str, Any] = {
        "multilstm": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        "versions": versions(),
        "xla_flags": switches("jax-scan", device)["XLA_FLAGS"],
    }
    if options is not None:
        facts["options"] = dataclasses.asdict(options)
        packages = {name: {"versions": dict(engine_row(name).packages)} for name in options.engines}
        facts["engines"] = {**packages, **(engines or {})}
    return facts


def switches(engine: str, device: str) -> dict[str, str]:
    """Return the variables that change the answers of an engine's process, as `{"XLA_FLAGS": flags}`."""
    process = for_process(device, engine_row(engine).on(device), os.environ)
    return {"XLA_FLAGS": process.get("XLA_FLAGS", "")}


def users_switches() -> dict[str, str]:
    """Return the same variables as the user's own programs have them."""
    return {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}
