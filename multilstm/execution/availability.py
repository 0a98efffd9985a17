"""The engines that can run here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multilstm.engines.registry import ENGINES, engine_row
from multilstm.errors import EngineUnavailableError, UsageError, WorkerError, choice
from multilstm.jobs.dtypes import DEVICES
from multilstm.workers import WorkerPool


def available(
    engines: Sequence[str] | None, device: str = "cpu"
) -> tuple[tuple[str, ...], dict[str, str], dict[str, dict[str, Any]]]:
    """The engines to judge, those left out with the reason, and what those on a GPU say of themselves.

    Whether an engine finds a GPU, only its own process can tell: for `gpu` each is started once. One that breaks there
    is not left out.

    Args:
        engines: names asked for; None or empty: all that can run here.
        device: `cpu` or `gpu`.

    Returns:
        Names; reasons by name; and for `gpu` versions, devices and switches by name.

    Raises:
        UsageError: for an unknown name or device.
        EngineUnavailableError: where one that was asked for by name is not installed, or finds no GPU.
        WorkerError: where one that was asked for by name cannot start.
    """
    if device not in DEVICES:
        raise UsageError(choice("device", device, DEVICES))
    rows = [engine_row(name) for name in dict.fromkeys(engines or ENGINES)]
    names, skipped, facts = [], {}, {}
    with WorkerPool() as pool:
        for row in rows if engines else [row for row in rows if row.name != "reference"]:
            try:
                row.require()
                if device == "gpu" and row.name != "reference":
                    facts[row.name] = pool.facts(row.name, device)
                names.append(row.name)
            except (EngineUnavailableError, WorkerError) as error:
                if engines:
                    raise
                if isinstance(error, WorkerError):  # it broke: each of its jobs will say so, in the report
                    names.append(row.name)
                else:
                    skipped[row.name] = str(error)
    return tuple(names), skipped, facts
