"""One run of a benchmark: its plan, the choice of contestants, and the facts around the measurement."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence

from multilstm.bench.contestants import CONTESTANTS, contestant_row
from multilstm.bench.contestants.stack import is_stack
from multilstm.bench.grids import GRIDS, estimate_s, grid_named
from multilstm.bench.measure import Measurement, without_gpu
from multilstm.bench.modes import FIT, PREDICT, Mode, mode_named
from multilstm.bench.results import Benchmark, Facts, PublishedRow
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import Published
from multilstm.bench.standing import BASE
from multilstm.bench.workload import Workload, model_workload, sized_name
from multilstm.cases.model_case import masked_inputs
from multilstm.errors import EngineUnavailableError, UsageError
from multilstm.execution.environment import environment
from multilstm.files import LoadedModel
from multilstm.frameworks.variables import framework_variables
from multilstm.jobs.dtypes import check_dtype
from multilstm.report.text import counted
from multilstm.spec import to_json

__all__ = ["Plan", "chosen_contestants", "grid_plan", "model_plan"]

BATCH, TIMESTEPS = 32, 100
MODEL_MODES = (PREDICT, FIT)  # as users run a model

ONLY_STACKS = "it computes rows of LSTMs with default options alone"


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a run needs.

    Attributes:
        workloads: the models with their data.
        modes: the modes of each.
        contestants: the contestants that run; before `on` the default ones, where empty means all.
        skipped: those that do not, with the reason.
        method: numbers of the method.
        dtype: dtype of the computation.
        device: `cpu` or `gpu`.
        grid: name of the grid, or empty.
        model: name of the user's model, or empty.
        published: published times by the name of the workload.
        timeout_s: seconds after which one answer is given up.
    """

    workloads: Sequence[Workload]
    modes: Sequence[Mode]
    contestants: Sequence[str]
    skipped: Mapping[str, str]
    method: Method
    dtype: str = "float32"
    device: str = "cpu"
    grid: str = ""
    model: str = ""
    published: Mapping[str, tuple[Published, ...]] = dataclasses.field(default_factory=dict)
    timeout_s: float = 1800.0

    def on(self, named: Sequence[str], dtype: str, device: str, method: Method, timeout_s: float) -> Plan:
        """Return the plan with its contestants, on a device.

        Args:
            named: the contestants that the user named; empty: the default ones.
            dtype: dtype of the computation.
            device: `cpu` or `gpu`.
            method: numbers of the method.
            timeout_s: seconds after which one answer is given up.

        Raises:
            UnsupportedError: for a dtype that the device lacks.
            UsageError: see `chosen_contestants`.
            EngineUnavailableError: see `chosen_contestants`.
        """
        check_dtype(dtype, device)
        contestants, skipped = chosen_contestants(named, self.contestants, self.workloads, self.modes, device)
        return dataclasses.replace(
            self,
            contestants=contestants,
            skipped=skipped,
            dtype=dtype,
            device=device,
            method=method,
            timeout_s=timeout_s,
        )

    def empty_result(self) -> Benchmark:
        """Return the result of this plan before anything is measured."""
        return Benchmark(
            grid=self.grid,
            model=self.model,
            dtype=self.dtype,
            device=self.device,
            environment={**environment(), "variables": framework_variables()},
            method=dataclasses.asdict(self.method),
            workloads={workload.name: self._facts(workload) for workload in self.workloads},
            skipped=dict(self.skipped),
        )

    @property
    def announcement(self) -> str:
        """The size of the run, and the estimate of its time, in a sentence."""
        rows = sum(mode.name in CONTESTANTS[name].modes for mode in self.modes for name in self.contestants)
        seconds = estimate_s(self.workloads, self.modes, self.contestants, self.method)
        budget = f"; the budget of the grid is {_duration(GRIDS[self.grid].budget_s)}" if self.grid else ""
        count = f"{counted(rows * len(self.workloads), 'row')} of {counted(len(self.contestants), 'engine')}"
        return f"{count}: about {_duration(seconds)} on two quiet cores{budget}"

    def run(self, result: Benchmark, follow: Callable[[str], None]) -> None:
        """Measure, and add the rows to the result as they are measured."""
        base = BASE if BASE in self.contestants else self.contestants[0]
        Measurement(result, self.method, base, follow, self.timeout_s).run(self.workloads, self.modes, self.contestants)

    def _facts(self, workload: Workload) -> Facts:
        modes = {mode.name: mode for mode in self.modes}
        return Facts(
            batch=workload.batch,
            timesteps=workload.timesteps,
            parameters=workload.spec.parameter_count,
            batches={name: workload.count(mode) for name, mode in modes.items()},
            steps={name: workload.steps(mode) for name, mode in modes.items()},
            flops={name: workload.flops(mode) for name, mode in modes.items()},
            optimizer=f"{type(workload.optimizer).__name__}, {workload.loss}",
            masked=bool(masked_inputs(workload.spec)),
            source=workload.source,
            published=[PublishedRow(**dataclasses.asdict(row)) for row in self.published.get(workload.name, ())],
            spec=hashlib.sha256(to_json(workload.spec).encode()).hexdigest(),
        )


def grid_plan(name: str, modes: Sequence[str], seed: int = 0) -> Plan:
    """Return the plan of a grid, still without contestants.

    Args:
        name: name of the grid.
        modes: names of the modes; empty: those of the grid.
        seed: the random seed of drawn shapes.
    """
    grid = grid_named(name, seed)
    chosen = tuple(map(mode_named, modes)) or grid.modes
    return Plan(grid.workloads(chosen), chosen, grid.engines, {}, grid.method, grid=grid.name, published=grid.published)


def model_plan(
    name: str, loaded: LoadedModel, modes: Sequence[str], batches: Sequence[int], timesteps: Sequence[int]
) -> Plan:
    """Return the plan of a user's model at every combination of sizes, still without contestants.

    Args:
        name: name of the model on the command line.
        loaded: the model.
        modes: names of the modes; empty: `predict`, and `fit` if a weight is trained.
        batches: numbers of sequences; empty: `BATCH`.
        timesteps: numbers of timesteps; empty: `TIMESTEPS`.

    Raises:
        UsageError: for sizes that the model fixes.
        InputError: for a training mode of a model without trained weights.
    """
    spec = loaded.spec
    inputs = spec.inputs.values()
    for option, given, is_open in (
        ("--batch", batches, all(layer.batch_size is None for layer in inputs)),
        ("--timesteps", timesteps, any(None in layer.shape for layer in inputs)),
    ):
        if given and not is_open:
            raise UsageError(f"{option} is given, but the inputs of the model have fixed sizes; leave it out")
    workloads = [
        model_workload(sized_name(spec, batch, steps), spec, loaded.weights, batch, steps)
        for batch in batches or (BATCH,)
        for steps in timesteps or (TIMESTEPS,)
    ]
    trained = [mode for mode in MODEL_MODES if spec.trainable_weights or not mode.trains]
    chosen = [mode_named(mode) for mode in modes] or trained
    if any(mode.trains for mode in chosen):
        workloads[0].check_trains()
    return Plan(workloads, chosen, (), {}, Method(), model=name)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def chosen_contestants(
    named: Sequence[str], default: Sequence[str], workloads: Sequence[Workload], modes: Sequence[Mode], device: str
) -> tuple[list[str], dict[str, str]]:
    """Return the contestants that run, and the reason for each that does not.

    Args:
        named: those that the user named.
        default: those of the grid; empty: all that need not be named.
        workloads: the workloads.
        modes: the modes.
        device: `cpu` or `gpu`.

    Raises:
        UsageError: for an unknown name, and for a named contestant that computes none of the modes.
        EngineUnavailableError: if a contestant that was named cannot run here, or none can.
    """
    rows = [contestant_row(name) for name in named or default or CONTESTANTS]
    if not named and not default:
        rows = [row for row in rows if not row.named]
    stacks, wanted = all(is_stack(workload.spec) for workload in workloads), {mode.name for mode in modes}
    chosen, skipped = [], {}
    for row in rows:
        if named:
            row.require()
            if not wanted & set(row.modes):
                raise UsageError(f"engine {row.name!r} computes {', '.join(row.modes)}, given {', '.join(wanted)}")
        if row.missing:
            skipped[row.name] = f"needs {', '.join(row.missing)}"
        elif row.stacks and not stacks and not named:
            skipped[row.name] = ONLY_STACKS
        elif wanted & set(row.modes):
            chosen.append(row.name)
    lacking = without_gpu(chosen) if device == "gpu" else {}
    for name in named:
        if name in lacking:
            raise EngineUnavailableError(f"engine {name!r}: {lacking[name]}")
    chosen, skipped = [name for name in chosen if name not in lacking], {**skipped, **lacking}
    if not chosen:
        raise EngineUnavailableError(
            f"no engine can run here: {'; '.join(f'{name}: {reason}' for name, reason in skipped.items())}"
        )
    return chosen, skipped
