"""A diagnosis as data: one row for each engine, the machine, and the user's settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

from multilstm.doctor.keras_backend import KerasBackend
from multilstm.frameworks.self_test import SelfTest
from multilstm.jobs.implementation import Implementation
from multilstm.ledger.rows import Divergence

FORMAT = 1  # of to_dict
REFERENCE = "reference"


@dataclasses.dataclass(frozen=True)
class EngineDiagnosis:
    """The diagnosis of one engine.

    Attributes:
        name: as in `--engine`.
        status: `ready`; `unavailable`: it is not installed, or its device is missing; `broken`: its worker failed.
        reason: why it is not ready.
        remedy: how to make it ready.
        stderr: last lines on stderr of a broken worker.
        versions: versions of the packages that compute.
        devices: devices of its process.
        switches: settings of precision and determinism in its process.
        implementation: the kernel that computed the LSTMs of its self-test, as it was seen to run.
        self_test: results of its numerical self-test.
        issues: known problems of its versions.
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
        """Whether it ran its self-test and all tests passed."""
        return self.status == "ready" and bool(self.self_test) and not self.failed


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of a machine.

    Attributes:
        device: the examined device.
        machine: versions of multilstm and Python, platform, processor, cores, memory_bytes.
        engines: the examined engines.
        keras: the backend of a plain `import keras`; None without Keras.
        variables: the user's environment variables that change the frameworks' computations.
        overruled: names of the user's environment variables that workers remove or replace. Values are left out,
            since some of these variables belong to other programs.
    """

    device: str
    machine: Mapping[str, Any]
    engines: tuple[EngineDiagnosis, ...]
    keras: KerasBackend | None
    variables: Mapping[str, str]
    overruled: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of the command.

        0: every installed engine passes. 1: an installed engine does not pass. 3: no engine can run, except the
        reference.
        """
        frameworks = [engine for engine in self.engines if engine.name != REFERENCE] or list(self.engines)
        if not any(engine.status == "ready" for engine in frameworks):
            return 3
        return 0 if all(engine.passes for engine in self.engines if engine.status != "unavailable") else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON data."""
        data: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for row, engine in zip(data["engines"], self.engines, strict=True):
            row["implementation"] = str(engine.implementation)
        return {"format": FORMAT, "exit_code": self.exit_code, **data}
