"""`multilstm doctor`: what can run here and why not, whether it computes correctly, and what is known to be wrong.

Every engine is examined in a worker of its own, with the environment that its jobs get; this module imports no
framework. What comes back is data (`Diagnosis`), which `render` shows and `to_dict` writes.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import importlib.util
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from multilstm.engines.registry import ENGINES, EngineRow, engine_row
from multilstm.engines.self_test import SelfTest
from multilstm.environment import environment
from multilstm.errors import EngineUnavailableError, MultilstmError, UsageError, WorkerError, choice
from multilstm.job import DEVICES
from multilstm.workers import WorkerPool

FORMAT = 1  # of to_dict
TIMEOUT_S = 300.0
_REFERENCE = "reference"


@dataclasses.dataclass(frozen=True)
class KnownIssue:
    """Something wrong with a released package that a user of LSTMs meets.

    Attributes:
        package: as in an engine's versions.
        first: the first version in which it was seen.
        last: the last version in which it was seen, `first` included; later ones were not tried, or are clean.
        engines: where it shows.
        symptom: what a user will see.
        remedy: what to do.
        link: the upstream report, or empty.
        handled: True where multilstm's engines do not show it, whatever the layers.
        flags: each of these, in XLA_FLAGS, avoids it.
        device: where it shows; None: on all.
    """

    package: str
    first: str
    last: str
    engines: tuple[str, ...]
    symptom: str
    remedy: str
    link: str = ""
    handled: bool = False
    flags: tuple[str, ...] = ()
    device: str | None = None

    def affects(self, engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]) -> bool:
        """Whether an engine shows it with these versions and switches."""
        installed = versions.get(self.package)
        return (
            engine in self.engines
            and self.device in (None, device)
            and installed is not None
            and _release(self.first) <= _release(installed) <= _release(self.last)
            and not set(self.flags) & set(switches.get("XLA_FLAGS", "").split())
        )


_KERAS = {"package": "keras", "first": "3.15.1", "last": "3.15.1"}  # measured with this version only

KNOWN_ISSUES: tuple[KnownIssue, ...] = (
    KnownIssue(
        package="jaxlib",
        first="0.9.1",
        last="0.10.2",
        engines=("keras-jax", "jax-scan"),
        symptom="Compiled sums over a matrix product are wrong for some shapes, such as 3 x 32769 in float32; in "
        "0.10.2 also in float64, from 3 x 16385, and of squares.",
        remedy="Set XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= (nothing behind the =) before JAX starts.",
        link="https://github.com/jax-ml/jax/issues/39103",
        flags=("--xla_cpu_experimental_ynn_fusion_type=", "--xla_cpu_experimental_ynn_fusion_type=-reduce"),
        device="cpu",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-jax", "keras-torch"),
        symptom="float64 layers compute partly in float32 and still say float64; errors of 1e-8 to 1e-7.",
        remedy="multilstm's engines switch it off. In programs of your own, do not trust digits beyond the seventh.",
        link="https://github.com/keras-team/keras/issues/23704",
        handled=True,
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-jax",),
        symptom="LSTM(stateful=True) never carries its state through predict, fit, evaluate and train_on_batch.",
        remedy="Use multilstm.keras_layers.LSTM.",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-jax",),
        symptom="An exception inside predict(), as for a wrong number of features, loses the model's weights for good.",
        remedy="Build the model again and load its weights.",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-torch",),
        symptom="Training an LSTM(stateful=True) raises a RuntimeError about an in-place operation.",
        remedy="Use multilstm.keras_layers.LSTM, or use_cudnn=False.",
        link="https://github.com/keras-team/keras/issues/20875",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-tensorflow",),
        symptom="TimeDistributed takes the batch size for the number of timesteps, in predict and fit, where both may "
        "vary.",
        remedy="Use multilstm.keras_layers.TimeDistributed, or Dense without it.",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-tensorflow",),
        symptom="Adam, RMSprop, Adagrad and clipnorm update an Embedding wrongly where a token stands twice in a "
        "batch.",
        remedy="Use the optimizers of multilstm.keras_layers.",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-tensorflow",),
        symptom="The gradient of categorical_crossentropy behind a softmax is wrong for labels that do not sum to one.",
        remedy="Use multilstm.keras_layers.CategoricalCrossentropy.",
    ),
    KnownIssue(
        **_KERAS,
        engines=("keras-tensorflow",),
        symptom="Adam's step in float64 is off by 7e-6, since its betas are rounded to float32.",
        remedy="Use multilstm.keras_layers.Adam.",
    ),
)


def known_issues(
    engine: str, device: str, versions: Mapping[str, str], switches: Mapping[str, str]
) -> tuple[KnownIssue, ...]:
    """The rows of KNOWN_ISSUES that an engine shows with these versions and switches."""
    return tuple(issue for issue in KNOWN_ISSUES if issue.affects(engine, device, versions, switches))


@dataclasses.dataclass(frozen=True)
class EngineDiagnosis:
    """What was found about one engine.

    Attributes:
        name: as in `--engine`.
        status: `ready`; `unavailable`: it is not installed, or its device is missing; `broken`: its worker failed.
        reason: why it is not ready, and what to do.
        stderr: the last words of a broken worker.
        versions: of the packages that compute.
        devices: what its process can compute on.
        switches: precision and determinism as they are set there.
        self_test: its numerical self-test.
        issues: what is known to be wrong with its versions.
    """

    name: str
    status: Literal["ready", "unavailable", "broken"]
    reason: str = ""
    stderr: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    devices: tuple[str, ...] = ()
    switches: Mapping[str, str] = dataclasses.field(default_factory=dict)
    self_test: tuple[SelfTest, ...] = ()
    issues: tuple[KnownIssue, ...] = ()

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
        reason = f"{', '.join(row.missing)} not installed; pip install 'multilstm[{row.extra}]'"
        return EngineDiagnosis(row.name, "unavailable", reason)
    try:
        answer = pool.doctor(row.name, device)
    except EngineUnavailableError as error:
        return EngineDiagnosis(row.name, "unavailable", str(error))
    except MultilstmError as error:
        return EngineDiagnosis(row.name, "broken", str(error), error.stderr if isinstance(error, WorkerError) else "")
    facts: dict[str, Any] = {
        "versions": answer["versions"],
        "devices": tuple(answer["devices"]),
        "switches": answer["switches"],
        "issues": known_issues(row.name, device, answer["versions"], answer["switches"]),
    }
    if device == "gpu" and row.name != _REFERENCE and not any(each.startswith("gpu") for each in answer["devices"]):
        reason = f"it sees no GPU, only {', '.join(answer['devices'])}; install its build for this GPU, or use the cpu"
        return EngineDiagnosis(row.name, "unavailable", reason, **facts)
    tests = tuple(SelfTest(**test) for test in answer["self_test"])
    return EngineDiagnosis(row.name, "ready", self_test=tests, **facts)


def keras_backend(variables: Mapping[str, str] = os.environ) -> KerasBackend | None:
    """What a plain `import keras` would take with these variables, without importing it; None without Keras.

    As Keras does: KERAS_BACKEND, where it is not empty; else `backend` in keras.json, which is in KERAS_HOME, or in
    `.keras` of the home directory (of /tmp where that may not be written); else TensorFlow.
    """
    if importlib.util.find_spec("keras") is None:
        return None
    name, set_by = _keras_backend(variables)
    return KerasBackend(name, set_by, importlib.util.find_spec(name) is not None if name.isidentifier() else False)


def _keras_backend(variables: Mapping[str, str]) -> tuple[str, str]:
    if variables.get("KERAS_BACKEND"):
        return variables["KERAS_BACKEND"], "KERAS_BACKEND in the environment"
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


def _release(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def render(diagnosis: Diagnosis, console: Console) -> None:
    """Prints the diagnosis; it is made for 80 columns, and for terminals without colour."""
    machine, memory = diagnosis.machine, diagnosis.machine["memory_bytes"]
    about = [f"Python {machine['python']}", machine["platform"], f"{machine['cores']} cores"]
    about += [f"{memory / 2**30:.0f} GiB"] if memory else []
    parts: list[Any] = [
        Text(f"multilstm {machine['multilstm']} on {diagnosis.device}", "bold"),
        _text(", ".join(about), "dim"),
        Text(),
        _engine_table(diagnosis.engines),
        *_failures(diagnosis.engines),
        *_issues(diagnosis.engines),
        *_surroundings(diagnosis),
        Text(),
        _conclusion(diagnosis),
    ]
    console.print(Group(*parts))


def _engine_table(engines: Iterable[EngineDiagnosis]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("Engine", no_wrap=True)
    table.add_column("Self-test", no_wrap=True)
    table.add_column("Computes with")
    for engine in engines:
        facts = [_text(", ".join(f"{name} {version}" for name, version in engine.versions.items()))]
        settings = [*engine.devices, *(f"{name} {value}" for name, value in engine.switches.items())]
        facts += [_text(", ".join(settings), "dim")] if settings else []
        if engine.status != "ready":
            facts = [_text(engine.reason)]
        table.add_row(Text(engine.name, "bold" if engine.status == "ready" else "dim"), _verdict(engine), Group(*facts))
    return table


def _verdict(engine: EngineDiagnosis) -> Text:
    if engine.status != "ready":
        return Text(engine.status, "dim" if engine.status == "unavailable" else "bold red")
    if engine.passes:
        return Text(f"{len(engine.self_test)} pass", "green")
    return Text(f"{len(engine.failed)} of {len(engine.self_test)} FAIL", "bold red")


def _failures(engines: Iterable[EngineDiagnosis]) -> list[Any]:
    """Every failed test once, with the engines that share it; and what a broken worker said last."""
    where: dict[tuple[str, str], list[str]] = {}
    for engine in engines:
        for test in engine.failed:
            where.setdefault((test.name, test.detail), []).append(engine.name)
        if engine.status == "broken" and engine.stderr.strip():
            where.setdefault(("last words", "\n".join(engine.stderr.strip().splitlines()[-3:])), []).append(engine.name)
    parts: list[Any] = []
    for (name, detail), names in where.items():
        parts += [_text(f"{', '.join(names)}: {name}", "bold red"), Padding(_text(detail), (0, 0, 0, 2))]
    return _section("What fails", parts)


def _issues(engines: Iterable[EngineDiagnosis]) -> list[Any]:
    """Every known issue once, with the installed version and the engines that show it."""
    where: dict[KnownIssue, list[EngineDiagnosis]] = {}
    for engine in engines:
        for issue in engine.issues:
            where.setdefault(issue, []).append(engine)
    parts: list[Any] = []
    for issue, found in where.items():
        version = found[0].versions[issue.package]
        head = Text.assemble((", ".join(engine.name for engine in found), "bold"), f"  {issue.package} {version}")
        body = Text.assemble(issue.symptom, " ", (issue.remedy, "green"))
        parts += [head, Padding(body, (0, 0, 0, 2))]
        parts += [Padding(Text(issue.link, "dim"), (0, 0, 0, 2))] if issue.link else []
    return _section("Known in these versions", parts)


def _surroundings(diagnosis: Diagnosis) -> list[Any]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    keras = diagnosis.keras
    if keras is not None:
        missing = "" if keras.installed else ", which is not installed here"
        table.add_row(Text("import keras"), _text(f"takes {keras.name}{missing}: {keras.set_by}"))
    for name, value in diagnosis.variables.items():
        table.add_row(_text(name), _text(value or "(empty)"))
    return _section("Outside of multilstm", [table] if table.row_count else [])


def _section(title: str, parts: list[Any]) -> list[Any]:
    return [Text(), Text(title, "dim"), *parts] if parts else []


def _conclusion(diagnosis: Diagnosis) -> Text:
    engines = diagnosis.engines
    passing = sum(engine.passes for engine in engines)
    if diagnosis.exit_code == 3:
        return Text("No engine can run here but the reference, which needs no framework.", "bold red")
    missing = sum(engine.status == "unavailable" for engine in engines)
    rest = f"; {missing} cannot run here" if missing else ""
    if diagnosis.exit_code == 0:
        return Text(f"{passing} of {len(engines)} engines can run here and compute correctly{rest}.", "bold green")
    wrong = [engine.name for engine in engines if engine.status != "unavailable" and not engine.passes]
    return Text(f"{passing} of {len(engines)} engines pass{rest}. Do not trust {', '.join(wrong)} yet.", "bold red")


def _text(text: str, style: str = "") -> Text:
    """Text from outside, without control characters, and without Rich's markup."""
    return Text("".join(each if each.isprintable() or each == "\n" else "?" for each in text), style)
