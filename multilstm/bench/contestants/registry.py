"""Table of contestants: for each, its class, the environment of its process and the modules that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from multilstm.engines.registry import ENGINES
from multilstm.errors import UsageError, choice
from multilstm.frameworks.targets import import_target, not_installed

if TYPE_CHECKING:
    from multilstm.bench.contestants.base import AbstractContestant


class ContestantRow(NamedTuple):
    """One contestant, as far as it is known without an import of its framework.

    Attributes:
        name: as in `--contestant`.
        target: its class, an `AbstractContestant`, as `module:Class`.
        needs: the modules that must be installed.
        environment: variables that its process must have before it starts.
        arguments: arguments of the class.
        named: True for a contestant that is timed only on request, by name.
        trains: True for a contestant of `multilstm.bench.training`.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    named: bool = False
    trains: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed modules that are not installed."""
        return not_installed(self.needs)

    def make(self) -> AbstractContestant:
        """Return a new contestant; to be called in the contestant's own process."""
        contestant: AbstractContestant = import_target(self.target)(*self.arguments)
        return contestant


_HERE = "multilstm.bench.contestants"
_SCAN = f"{_HERE}.jax_scan:ScanContestant"
_KERAS_JAX = f"{_HERE}.keras_jax:KerasJaxContestant"
_KERAS_TENSORFLOW = f"{_HERE}.keras_tensorflow:KerasTensorflowContestant"
_KERAS_TORCH = f"{_HERE}.keras_torch:KerasTorchContestant"
_ENVIRONMENTS = {name: row.environment for name, row in ENGINES.items()}
_JAX = _ENVIRONMENTS["jax-scan"]
_ROWS = (
    ContestantRow("jax-scan", _SCAN, ("jax",), _JAX, ("tuned",), trains=True),
    ContestantRow("jax-scan-one", _SCAN, ("jax",), _JAX),
    ContestantRow("jax-scan-mask", _SCAN, ("jax",), _JAX, ("tuned", "mask"), named=True),
    ContestantRow("keras-jax", _KERAS_JAX, ("keras", "jax"), _ENVIRONMENTS["keras-jax"], trains=True),
    ContestantRow("keras-jax-tuned", _KERAS_JAX, ("keras", "jax"), _ENVIRONMENTS["keras-jax"], ("tuned",), named=True),
    ContestantRow(
        "keras-tensorflow",
        _KERAS_TENSORFLOW,
        ("keras", "tensorflow"),
        _ENVIRONMENTS["keras-tensorflow"],
        ("graph",),
        trains=True,
    ),
    ContestantRow(
        "keras-tensorflow-xla",
        _KERAS_TENSORFLOW,
        ("keras", "tensorflow"),
        _ENVIRONMENTS["keras-tensorflow"],
        ("xla",),
    ),
    ContestantRow("keras-torch", _KERAS_TORCH, ("keras", "torch"), _ENVIRONMENTS["keras-torch"], trains=True),
    ContestantRow("flax", f"{_HERE}.flax:FlaxContestant", ("flax",), _JAX),
    ContestantRow("torch-lstm", f"{_HERE}.torch_lstm:TorchLSTMContestant", ("torch",), {}),
    ContestantRow("onnxruntime", f"{_HERE}.onnx:OnnxContestant", ("onnxruntime", "onnx"), {}),
)
CONTESTANTS: dict[str, ContestantRow] = {row.name: row for row in _ROWS}
TRAINERS: tuple[str, ...] = tuple(row.name for row in _ROWS if row.trains)


def contestant_row(name: str) -> ContestantRow:
    """Return the row of that name.

    Raises:
        UsageError: for an unknown contestant.
    """
    if name not in CONTESTANTS:
        raise UsageError(choice("contestant", name, CONTESTANTS))
    return CONTESTANTS[name]
