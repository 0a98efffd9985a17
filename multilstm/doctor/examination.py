"""The examination: every engine in a worker of its own, with the environment that its jobs get, gives one row.

An engine that is not installed, or whose worker fails, is a row with the reason; nothing is left out.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import importlib.util
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from multilstm.engines.registry import ENGINES, EngineRow, engine_row
from multilstm.errors import EngineUnavailableError, MultilstmError, UsageError, WorkerError, choice
from multilstm.execution.environment import environment
from multilstm.frameworks.self_test import SelfTest
from multilstm.jobs.dtypes import DEVICES
from multilstm.jobs.implementation import Implementation
from multilstm.ledger.known_issues import known_issues
from multilstm.ledger.rows import Divergence
from multilstm.workers import WorkerPool

FORMAT = 1  # of to_dict
TIMEOUT_S = 300.0
_REFERENCE = "reference"


@dataclasses.dataclass(frozen=True)
class EngineDiagnosis:
    """What was found about one engine.

    Attributes:
        name: as in `--engine`.
        status: `ready`; `unavailable`: it is not installed, or its device is missing; `broken`: its worker failed.
        reason: why it is not ready.
        remedy: what to do about it.
        stderr: the last words of a broken worker.
        versions: of the packages that compute.
        devices: what its process can compute on.
        switches: precision and determinism as they are set there.
        implementation: the kernel that computed the LSTMs of its self-test, as it was seen to run.
        self_test: its numerical self-test.
        issues: what is known to be wrong with its versions.
    """

    name: str
    status: Literal["ready", "unavailable", "broken"]
    reason: str = ""
    remedy: str = ""
    stderr: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    devices: tuple[str, ...] = ()
    switches: Mapping[str, str] = dataclasses.field(default_factory=dict)
    implementation: Implementation = dataclasses.field(default_factory=Implementation)
    self_test: tuple[SelfTest, ...] = ()
    issues: tuple[Divergence, ...] = ()

    @property
    def failed(self) -> tuple[SelfTest, ...]:
        """The tests that failed."""
        return tuple(test for test in self.self_test if not test.ok)

    @property
    def passes(self) -> bool:
        """Whether it ran its self-test, all of it with success."""
        return self.status == "ready" and bool(self.self_test) and not self.failed


@dataclasses.dataclass(frozen=True)
class KerasBackend:
    """What a plain `import keras` would take here.

    Attributes:
        name: the backend.
        set_by: who says so.
        installed: whether that backend's package is installed.
    """

    name: str
    set_by: str
    installed: bool


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was found on this machine.

    Attributes:
        device: the device asked for.
        machine: versions of multilstm and Python, platform, processor, cores, memory_bytes.
        engines: every engine asked for.
        keras: what a plain `import keras` would take; None without Keras.
        variables: the environment variables that change what the frameworks do.
    """

    device: str
    machine: Mapping[str, Any]
    engines: tuple[EngineDiagnosis, ...]
    keras: KerasBackend | None
    variables: Mapping[str, str]

    @property
    def exit_code(self) -> int:
        """0: every engine that is installed passes. 1: one does not. 3: none but the reference can run."""
        asked = [engine for engine in self.engines if engine.name != _REFERENCE] or list(self.engines)
        if not any(engine.status == "ready" for engine in asked):
            return 3
        return 0 if all(engine.passes for engine in self.engines if engine.status != "unavailable") else 1

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        data: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for row, engine in zip(data["engines"], self.engines, strict=True):
            row["implementation"] = str(engine.implementation)
        return {"format": FORMAT, "exit_code": self.exit_code, **data}


def examine(engines: Sequence[str] | None = None, device: str = "cpu", timeout_s: float = TIMEOUT_S) -> Diagnosis:
    """Examines this machine, each engine in a worker of its own.

    Args:
        engines: names of engines; None: all.
        device: `cpu` or `gpu`.
        timeout_s: seconds after which an engine is given up.

    Returns:
        A row for every engine: one that is not installed, or whose worker fails, is a row with the reason.

    Raises:
        UsageError: for an unknown engine or device.
    """
    if device not in DEVICES:
        raise UsageError(choice("device", device, DEVICES))
    rows = [engine_row(name) for name in (ENGINES if engines is None else dict.fromkeys(engines))]
    with WorkerPool(timeout_s) as pool, concurrent.futures.ThreadPoolExecutor(2) as threads:
        found = tuple(threads.map(lambda row: _engine(pool, row, device), rows))
    machine = {
        key: value
        for key, value in environment().items()
        if key in ("multilstm", "python", "platform", "processor", "cores")
    }
    return Diagnosis(device, {**machine, "memory_bytes": _memory()}, found, keras_backend(), _variables())


def _engine(pool: WorkerPool, row: EngineRow, device: str) -> EngineDiagnosis:
    if row.missing:
        reason = f"not installed: {', '.join(row.missing)}"
        return EngineDiagnosis(row.name, "unavailable", reason, f"pip install 'multilstm[{row.extra}]'")
    try:
        answer = pool.doctor(row.name, "cpu" if row.name == _REFERENCE else device)
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


_BACKENDS = ("tensorflow", "jax", "torch", "numpy", "openvino")


def keras_backend(variables: Mapping[str, str] = os.environ) -> KerasBackend | None:
    """What a plain `import keras` would take with these variables, without importing it; None without Keras.

    As Keras does: KERAS_BACKEND, where it is not empty; else `backend` in keras.json, which is in KERAS_HOME, or in
    `.keras` of the home directory (of /tmp where that may not be written); else TensorFlow.
    """
    if importlib.util.find_spec("keras") is None:
        return None
    name, set_by = _keras_backend(variables)
    return KerasBackend(name, set_by, name in _BACKENDS and importlib.util.find_spec(name) is not None)


def _keras_backend(variables: Mapping[str, str]) -> tuple[str, str]:
    if variables.get("KERAS_BACKEND"):
        return variables["KERAS_BACKEND"], "KERAS_BACKEND"
    folder = variables.get("KERAS_HOME")
    home = os.path.expanduser("~")
    if folder is None:
        folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    path = pathlib.Path(os.path.expanduser(os.path.join(folder, "keras.json")))
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return str(settings["backend"]), _homeless(str(path))
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "Keras's default"


_PREFIXES = ("XLA_", "JAX_", "KERAS_", "NVIDIA_TF32")
_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "TF_CPP_MIN_LOG_LEVEL", "TF_CUDNN_DETERMINISTIC", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_XLA_FLAGS",
)  # fmt: skip


def _variables() -> dict[str, str]:
    return {
        name: _homeless(value)
        for name, value in sorted(os.environ.items())
        if name.startswith(_PREFIXES) or name in _VARIABLES
    }


def _homeless(text: str) -> str:
    """The text without the home directory, which names the user."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text


def _memory() -> int | None:
    """Bytes of memory that this machine, or this container, has; None where it does not say."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = pathlib.Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return size
    return min(size, int(limit)) if limit.isdigit() else size
