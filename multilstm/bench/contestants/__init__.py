"""Who is timed: one row a contestant, which names its class, its process's environment and what it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import NamedTuple

from multilstm.engines.registry import ENGINES
from multilstm.errors import UsageError, choice


class ContestantRow(NamedTuple):
    """What is known of a contestant without importing its framework.

    Attributes:
        name: as in `--contestant`.
        target: `module:Class`, of an `AbstractContestant`.
        needs: the modules that must be installed.
        environment: variables that its process must have before it starts.
        arguments: given to the class.
        named: whether it is timed only where it is asked for by name.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    named: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that are needed and not installed."""
        return tuple(module for module in self.needs if importlib.util.find_spec(module) is None)


_HERE = "multilstm.bench.contestants"
_JAX = ENGINES["jax-scan"].environment
_KERAS_JAX = ENGINES["keras-jax"].environment
_TENSORFLOW = ENGINES["keras-tensorflow"].environment

CONTESTANTS: dict[str, ContestantRow] = {
    row.name: row
    for row in (
        ContestantRow("jax-scan", f"{_HERE}.jax_scan:ScanContestant", ("jax",), _JAX, ("tuned",)),
        ContestantRow("jax-scan-one", f"{_HERE}.jax_scan:ScanContestant", ("jax",), _JAX),
        ContestantRow(
            "jax-scan-mask", f"{_HERE}.jax_scan:ScanContestant", ("jax",), _JAX, ("tuned", "mask"), named=True
        ),
        ContestantRow("keras-jax", f"{_HERE}.keras_jax:KerasJaxContestant", ("keras", "jax"), _KERAS_JAX),
        ContestantRow(
            "keras-jax-tuned",
            f"{_HERE}.keras_jax:KerasJaxContestant",
            ("keras", "jax"),
            _KERAS_JAX,
            ("tuned",),
            named=True,
        ),
        ContestantRow(
            "keras-tensorflow",
            f"{_HERE}.keras_tensorflow:KerasTensorflowContestant",
            ("keras", "tensorflow"),
            _TENSORFLOW,
            ("graph",),
        ),
        ContestantRow(
            "keras-tensorflow-xla",
            f"{_HERE}.keras_tensorflow:KerasTensorflowContestant",
            ("keras", "tensorflow"),
            _TENSORFLOW,
            ("xla",),
        ),
        ContestantRow(
            "keras-torch",
            f"{_HERE}.keras_torch:KerasTorchContestant",
            ("keras", "torch"),
            ENGINES["keras-torch"].environment,
        ),
        ContestantRow("flax", f"{_HERE}.flax:FlaxContestant", ("flax",), _JAX),
        ContestantRow("torch-lstm", f"{_HERE}.torch_lstm:TorchLSTMContestant", ("torch",), {}),
        ContestantRow("onnxruntime", f"{_HERE}.onnx:OnnxContestant", ("onnxruntime", "onnx"), {}),
    )
}


def contestant_row(name: str) -> ContestantRow:
    """The row of that name.

    Raises:
        UsageError: for an unknown contestant.
    """
    if name not in CONTESTANTS:
        raise UsageError(choice("contestant", name, CONTESTANTS))
    return CONTESTANTS[name]
