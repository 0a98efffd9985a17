"""Table of engines: for each, its class, the modules that it needs, and the environment of its process."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from multilstm.errors import EngineUnavailableError, UsageError, choice
from multilstm.frameworks import xla_flags
from multilstm.frameworks.packages import versions_for
from multilstm.frameworks.process_environment import DETERMINISTIC_GPU, merge
from multilstm.frameworks.targets import import_target, is_distributed, not_installed
from multilstm.frameworks.xla_flags import EXACT_SUMS, XlaFlag

if TYPE_CHECKING:
    from multilstm.engines.base import AbstractEngine


@dataclasses.dataclass(frozen=True)
class EngineRow:
    """One engine, described without an import of its framework.

    Attributes:
        name: as in `--engine`.
        target: its class, as `module:Class`.
        needs: the modules that must be installed.
        extra: the extra of multilstm that installs them; None: they are always installed.
        settings: environment variables that its process needs before it starts.
        flags: flags of XLA that its process needs, where the installed jaxlib accepts them.
        partial: True for an engine that some models cannot run on; it computes no updates of an optimizer.
        gradients: False for an engine that computes inference alone.
        generations: the generations of Keras whose models it executes without being named; None: all models.
        beside_cpu: the package that pip installs without its dependencies where tensorflow-cpu is installed, because it
            depends on the package tensorflow, which has the same files.
        python: the interpreter of its process; None: that of this process.
        versions: the versions of the packages that compute, where it runs elsewhere; None: those that are installed
            here.
    """

    name: str
    target: str
    needs: tuple[str, ...]
    extra: str | None
    settings: Mapping[str, str]
    flags: tuple[XlaFlag, ...] = ()
    partial: bool = False
    gradients: bool = True
    generations: tuple[int, ...] | None = None
    beside_cpu: str | None = None
    python: str | None = None
    versions: Mapping[str, str] | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs in another environment, which was found to have what the engine needs."""
        return self.versions is not None

    @property
    def packages(self) -> Mapping[str, str]:
        """The versions of the packages that compute, by name."""
        return versions_for(self.needs) if self.versions is None else self.versions

    @property
    def executes_one_model(self) -> bool:
        """Whether it executes the files of one model, so that no part of the model can be executed alone."""
        return CONVERTED in self.settings

    def is_default(self, generation: int | None) -> bool:
        """Whether the engine runs without being named, for a model of a generation of Keras; None: of no Keras.

        An engine elsewhere always does, since a user chose its environment.
        """
        return self.is_elsewhere or self.generations is None or generation in self.generations

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its process needs before it starts, with the flags that the installed jaxlib accepts."""
        return merge(self.settings, xla_flags.variables(*self.flags))

    def on(self, device: str) -> dict[str, str]:
        """Return `environment`, on a GPU with the variables that select deterministic kernels."""
        return merge(self.environment, DETERMINISTIC_GPU if device == "gpu" else {})

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that are needed and not installed; none for an engine elsewhere."""
        return () if self.is_elsewhere else not_installed(self.needs)

    def require(self) -> None:
        """Return if all modules that the engine needs are installed.

        Raises:
            EngineUnavailableError: with the modules that are missing, and the command that installs them.
        """
        if "@" in self.name and not self.is_elsewhere:
            raise EngineUnavailableError(
                f"engine {self.name!r} is a further row of an engine, but its environment is not given; give it with "
                f"--python {self.name}=PATH"
            )
        if self.missing:
            raise EngineUnavailableError(
                f"engine {self.name!r} needs {', '.join(self.missing)}, not installed here; "
                f"install it with: {self.installation}"
            )

    @property
    def installation(self) -> str:
        """The command that installs what the engine needs."""
        if self.beside_cpu is not None and is_distributed("tensorflow-cpu"):
            return f"pip install --no-deps '{self.beside_cpu}'"
        return f"pip install 'multilstm[{self.extra}]'" if self.extra else f"pip install {' '.join(self.missing)}"


def load(target: str) -> AbstractEngine:
    """Return a new engine of the class `module:Class`; to be called in the engine's own process."""
    engine: AbstractEngine = import_target(target)()
    return engine


_LABELLED = re.compile(r"[^@]+@[\w.+-]+")
JUDGE = "reference"  # the engine against which all others are judged
CONVERTED = "MULTILSTM_CONVERTED"  # the variable with the path of the main file that an engine executes

_JAX = {"JAX_ENABLE_X64": "1"}  # without it JAX has no float64


_TF_KERAS = "tf-keras==2.21.*"


def _converted(
    name: str, target: str, extra: str, needs: tuple[str, ...], *, gradients: bool = True, beside_cpu: str | None = None
) -> EngineRow:
    """Return the row of an engine that executes converted files; only a user's choice of it runs it."""
    settings, flags = (_JAX, (EXACT_SUMS,)) if "jax" in needs else ({}, ())
    if "tensorflow" in needs:  # its cells of TensorFlow 1 are those of tf-keras
        settings = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return EngineRow(
        name, f"multilstm.engines.{target}", needs, extra, settings, flags, partial=True, gradients=gradients,
        generations=(), beside_cpu=beside_cpu,
    )  # fmt: skip


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
            (EXACT_SUMS,),
        ),
        EngineRow(
            "keras-torch",
            "multilstm.engines.keras.torch:KerasTorchEngine",
            ("keras", "torch"),
            "torch",
            {"KERAS_BACKEND": "torch"},
        ),
        EngineRow("jax-scan", "multilstm.engines.jax_scan:JaxScanEngine", ("jax",), "jax", _JAX, (EXACT_SUMS,)),
        EngineRow("torch-lstm", "multilstm.engines.torch_lstm:TorchLSTMEngine", ("torch",), "torch", {}, partial=True),
        _converted("torch-module", "torch_module:TorchModuleEngine", "torch", ("torch",)),
        _converted("onnx-file", "onnx_file:OnnxFileEngine", "onnx", ("onnx", "onnxruntime"), gradients=False),
        _converted("flax-module", "flax_module:FlaxModuleEngine", "flax", ("flax", "jax")),
        _converted("linen-module", "flax_module:LinenModuleEngine", "flax", ("flax", "jax")),
        _converted(
            "tf1-module", "tf1_module:Tf1ModuleEngine", "keras2", ("tensorflow", "tf_keras"), beside_cpu=_TF_KERAS
        ),
        _converted("equinox-module", "equinox_module:EquinoxModuleEngine", "equinox", ("equinox", "jax")),
        _converted("haiku-module", "haiku_module:HaikuModuleEngine", "haiku", ("haiku", "jax")),
        EngineRow(
            "keras2",
            "multilstm.engines.keras.keras2:Keras2Engine",
            ("keras", "tensorflow", "tf_keras"),
            "keras2",
            {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            partial=True,
            generations=(0, 1, 2),
            beside_cpu=_TF_KERAS,
        ),
    )
}


def is_built_in(row: EngineRow) -> bool:
    """Whether an engine is one of multilstm's, and not one that a user registered."""
    return row.target.startswith("multilstm.")


def base_name(name: str) -> str:
    """Return the engine of a labelled row: `keras-jax` of `keras-jax@old`."""
    return name.partition("@")[0]


def engine_row(name: str) -> EngineRow:
    """Return the row of an engine; a labelled name that is not registered has the row of its engine.

    Raises:
        UsageError: for an unknown engine.
    """
    if isinstance(name, str) and name in ENGINES:
        return ENGINES[name]
    if not isinstance(name, str) or base_name(name) not in ENGINES or not _LABELLED.fullmatch(name):
        raise UsageError(choice("engine", name, ENGINES))
    return dataclasses.replace(ENGINES[base_name(name)], name=name)


@contextlib.contextmanager
def registered(rows: Iterable[EngineRow]) -> Iterator[None]:
    """Have further rows in the table, or other ones for the same names, inside of a `with` block."""
    before = dict(ENGINES)
    ENGINES.update({row.name: row for row in rows})
    try:
        yield
    finally:
        ENGINES.clear()
        ENGINES.update(before)
