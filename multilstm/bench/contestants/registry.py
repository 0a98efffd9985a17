"""Table of contestants: for each, its class, the environment of its process and the modules that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from multilstm.bench.modes import FORWARD, GRADIENT, MODES, STREAM, USUAL
from multilstm.engines.registry import ENGINES
from multilstm.errors import EngineUnavailableError, UsageError, choice
from multilstm.frameworks.targets import import_target, not_installed

if TYPE_CHECKING:
    from multilstm.bench.contestants.base import AbstractContestant


_USUAL = tuple(mode.name for mode in USUAL)


class ContestantRow(NamedTuple):
    """One contestant, as far as it is known without an import of its framework.

    Attributes:
        name: as in `--engine`.
        target: its class, an `AbstractContestant`, as `module:Class`.
        needs: the modules that must be installed.
        environment: variables that its process must have before it starts.
        arguments: arguments of the class.
        layers: `plain`, or `portable` for the layers of `multilstm.keras_layers`.
        named: True for a contestant that is timed only on request, by name.
        stacks: True for a contestant that computes rows of plain LSTMs alone.
        modes: the modes that it computes.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    layers: str = "plain"
    named: bool = False
    stacks: bool = False
    modes: tuple[str, ...] = _USUAL

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed modules that are not installed."""
        return not_installed(self.needs)

    def require(self) -> None:
        """Return if all modules that it needs are installed.

        Raises:
            EngineUnavailableError: with the modules that are missing, and the command that installs them.
        """
        if self.missing:
            raise EngineUnavailableError(
                f"engine {self.name!r} needs {', '.join(self.missing)}, not installed here; "
                "install it with: pip install 'multilstm[all]'"
            )

    def make(self) -> AbstractContestant:
        """Return a new contestant; to be called in the contestant's own process."""
        contestant: AbstractContestant = import_target(self.target)(*self.arguments)
        return contestant


def _keras(backend: str, name: str, *arguments: str, layers: str = "plain", named: bool = False) -> ContestantRow:
    """Return the row of a contestant on a backend of Keras."""
    target = f"{_HERE}.keras_{backend}:Keras{backend.title()}Contestant"
    engine = ENGINES[f"keras-{backend}"]
    return ContestantRow(name, target, engine.needs, engine.environment, arguments, layers, named)


def _jax_stack(name: str, kind: str) -> ContestantRow:
    """Return the row of a contestant that computes rows of LSTMs in JAX, on request."""
    target = f"{_HERE}.jax_stack:StackContestant"
    return ContestantRow(name, target, ("jax",), _JAX, (kind,), named=True, stacks=True, modes=_COMPILED)


_HERE = "multilstm.bench.contestants"
_SCAN = f"{_HERE}.jax_scan:ScanContestant"
_JAX = ENGINES["jax-scan"].environment
_COMPILED = (FORWARD.name, GRADIENT.name)
_ROWS = (
    ContestantRow("jax-scan", _SCAN, ("jax",), _JAX, modes=tuple(MODES)),
    ContestantRow("jax-scan-tuned", _SCAN, ("jax",), _JAX, ("tuned",)),
    _keras("jax", "keras-jax"),
    _keras("tensorflow", "keras-tensorflow", "graph"),
    _keras("tensorflow", "keras-tensorflow-xla", "xla"),
    _keras("torch", "keras-torch"),
    ContestantRow("torch-lstm", f"{_HERE}.torch_lstm:TorchLSTMContestant", ("torch",), {}, modes=tuple(MODES)),
    ContestantRow("flax", f"{_HERE}.flax:FlaxContestant", ("flax",), _JAX, stacks=True, modes=_COMPILED),
    ContestantRow(
        "onnxruntime", f"{_HERE}.onnx:OnnxContestant", ("onnxruntime", "onnx"), {}, modes=(FORWARD.name, STREAM.name)
    ),
    ContestantRow("jax-scan-measured", _SCAN, ("jax",), _JAX, ("tuned", "measured"), named=True),
    _jax_stack("jax-scan-checkpoint", "checkpoint"),
    _jax_stack("jax-plain", "plain"),
    _keras("jax", "keras-jax-tuned", "tuned", named=True),
    _keras("torch", "keras-torch-compile", "compile", named=True),
    _keras("jax", "keras-jax-portable", layers="portable", named=True),
    _keras("tensorflow", "keras-tensorflow-portable", "graph", layers="portable", named=True),
    _keras("torch", "keras-torch-portable", layers="portable", named=True),
)  # fmt: skip
CONTESTANTS: dict[str, ContestantRow] = {row.name: row for row in _ROWS}


def contestant_row(name: str) -> ContestantRow:
    """Return the row of that name.

    Raises:
        UsageError: for an unknown contestant.
    """
    if name not in CONTESTANTS:
        raise UsageError(choice("engine", name, CONTESTANTS))
    return CONTESTANTS[name]
