"""The examination: every engine runs a self-test in a worker, with the environment of its jobs.

An engine that is not installed, or whose worker fails, has a row with the reason. No engine is left out.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from multilstm.doctor.diagnosis import REFERENCE, Diagnosis, EngineDiagnosis
from multilstm.doctor.keras_backend import keras_backend
from multilstm.engines.registry import ENGINES, EngineRow, engine_row
from multilstm.errors import EngineUnavailableError, MultilstmError, UsageError, WorkerError, choice
from multilstm.execution.environment import environment
from multilstm.frameworks.process_environment import overruled
from multilstm.frameworks.self_test import SelfTest
from multilstm.frameworks.variables import framework_variables
from multilstm.jobs.dtypes import DEVICES
from multilstm.jobs.implementation import Implementation
from multilstm.ledger.known_issues import known_issues
from multilstm.workers import WorkerPool

TIMEOUT_S = 300.0
_TERRAFORM = ("TF_VAR_", "TF_CLI_")  # its variables look like TensorFlow's
_MACHINE = ("multilstm", "python", "platform", "processor", "cores")


def examine(engines: Sequence[str] | None = None, device: str = "cpu", timeout_s: float = TIMEOUT_S) -> Diagnosis:
    """Examine this machine, each engine in a worker of its own.

    Args:
        engines: names of engines; None: all.
        device: `cpu` or `gpu`.
        timeout_s: seconds after which an engine is given up.

    Returns:
        The diagnosis, with a row for every engine. An engine that cannot run has the reason in its row.

    Raises:
        UsageError: for an unknown engine or device.
    """
    if device not in DEVICES:
        raise UsageError(choice("device", device, DEVICES))
    rows = [engine_row(name) for name in (ENGINES if engines is None else dict.fromkeys(engines))]
    with WorkerPool(timeout_s) as pool, concurrent.futures.ThreadPoolExecutor(2) as threads:
        diagnoses = tuple(threads.map(lambda row: _engine(pool, row, device), rows))
    surroundings = environment()
    machine = {**{key: surroundings[key] for key in _MACHINE}, "memory_bytes": _memory()}
    names = {name for row in rows for name in overruled(device, row.on(device), os.environ)}
    shown = tuple(sorted(name for name in names if not name.startswith(_TERRAFORM)))
    return Diagnosis(device, machine, diagnoses, keras_backend(), framework_variables(os.environ), shown)


def _engine(pool: WorkerPool, row: EngineRow, device: str) -> EngineDiagnosis:
    if row.missing:
        reason = f"not installed: {', '.join(row.missing)}"
        return EngineDiagnosis(row.name, "unavailable", reason, row.installation)
    try:
        answer = pool.doctor(row.name, "cpu" if row.name == REFERENCE else device)
    except EngineUnavailableError as error:
        return EngineDiagnosis(row.name, "unavailable", str(error))
    except MultilstmError as error:
        stderr = error.stderr if isinstance(error, WorkerError) else ""
        return EngineDiagnosis(row.name, "broken", str(error), stderr=stderr)
    facts: dict[str, Any] = {
        "versions": answer["versions"],
        "devices": tuple(answer["devices"]),
        "switches": answer["switches"],
        "implementation": Implementation(**answer["implementation"]),
        "issues": known_issues(row.name, device, answer["versions"], answer["switches"]),
    }
    tests = tuple(SelfTest(**test) for test in answer["self_test"])
    return EngineDiagnosis(row.name, "ready", self_test=tests, **facts)


def _memory() -> int | None:
    """Return the bytes of memory of this machine or container; None if the system does not report them."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = pathlib.Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return size
    return min(size, int(limit)) if limit.isdigit() else size
