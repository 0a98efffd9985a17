"""One row an engine: where its class is, what it needs, and what its process must know before it starts."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from multilstm.errors import EngineUnavailableError, UsageError, choice

if TYPE_CHECKING:
    from multilstm.engines.base import AbstractEngine
from multilstm.frameworks.process_environment import _DETERMINISTIC, joined

# jaxlib from 0.9.1 to 0.10.2 miscomputes some sums of products on CPU (jax#39103), unless this is set. Older ones do
# not know it and refuse to start; newer ones are left to `multilstm doctor`, which tests for the fault.
_JAX_FAULT = (("0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.2"), "--xla_cpu_experimental_ynn_fusion_type=-reduce")


def _jax_environment() -> dict[str, str]:
    """What a JAX process must know before it starts: float64, and the flag against the fault of some versions."""
    try:
        version = importlib.metadata.version("jaxlib")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    affected, flag = _JAX_FAULT
    return {"JAX_ENABLE_X64": "1", **({"XLA_FLAGS": flag} if version in affected else {})}


_JAX = _jax_environment()


@dataclasses.dataclass(frozen=True)
class EngineRow:
    """What is known of an engine without importing it.

    Attributes:
        name: as in `--engine`.
        target: `module:Class`.
        needs: the modules that must be installed.
        extra: the extra of multilstm that installs them.
        environment: variables that its process must have before it starts.
        partial: True for an engine that executes only some models, and does not train.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    extra: str | None
    environment: Mapping[str, str]
    partial: bool = False

    def on(self, device: str) -> dict[str, str]:
        """What its process must know before it starts, deterministic kernels of a GPU included."""
        return joined(self.environment, _DETERMINISTIC if device == "gpu" else {})

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that are needed and not installed."""
        return tuple(module for module in self.needs if importlib.util.find_spec(module) is None)

    def require(self) -> None:
        """Returns if all that the engine needs is installed.

        Raises:
            EngineUnavailableError: naming what is missing, and the command that installs it.
        """
        if self.missing:
            raise EngineUnavailableError(
                f"engine {self.name!r} needs {', '.join(self.missing)}, not installed here; "
                f"install it with: pip install 'multilstm[{self.extra}]'"
            )


def load(target: str) -> AbstractEngine:
    """The engine of a target `module:Class`; to be called inside its own process."""
    module, name = target.split(":")
    engine: AbstractEngine = getattr(importlib.import_module(module), name)()
    return engine


JUDGE = "reference"  # the engine against which all others are judged

ENGINES: dict[str, EngineRow] = {
    row.name: row
    for row in (
        EngineRow(JUDGE, "multilstm.engines.reference.engine:ReferenceEngine", ("numpy",), None, {}),
        EngineRow(
            "keras-tensorflow",
            "multilstm.engines.keras.tensorflow:KerasTensorflowEngine",
            ("keras", "tensorflow"),
            "tensorflow",
            {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        ),
        EngineRow(
            "keras-jax",
            "multilstm.engines.keras.jax:KerasJaxEngine",
            ("keras", "jax"),
            "jax",
            {"KERAS_BACKEND": "jax", **_JAX},
        ),
        EngineRow(
            "keras-torch",
            "multilstm.engines.keras.torch:KerasTorchEngine",
            ("keras", "torch"),
            "torch",
            {"KERAS_BACKEND": "torch"},
        ),
        EngineRow("jax-scan", "multilstm.engines.jax_scan:JaxScanEngine", ("jax",), "jax", _JAX),
        EngineRow("torch-lstm", "multilstm.engines.torch_lstm:TorchLSTMEngine", ("torch",), "torch", {}, partial=True),
    )
}


def engine_row(name: str) -> EngineRow:
    """The row of that name.

    Raises:
        UsageError: for an unknown engine.
    """
    if name not in ENGINES:
        raise UsageError(choice("engine", name, ENGINES))
    return ENGINES[name]
