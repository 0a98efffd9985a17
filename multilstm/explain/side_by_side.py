"""The two sides of a divergence: a forward job on the engine and, in float64 in this process, on the reference.

Also what "they part" means: an array outside its row of the table of tolerances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from multilstm.cases.case import KEPT, Case
from multilstm.compare import tolerance
from multilstm.engines.base import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.execution import Execution
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.jobs.job import Answer, Batch, Job, Step
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, State


class Answers(NamedTuple):
    """What engine and reference gave for the same steps, one answer a step."""

    actual: tuple[Answer, ...]
    desired: tuple[Answer, ...]


@dataclasses.dataclass(frozen=True)
class Sides:
    """One engine next to the reference, on one case in one dtype."""

    execution: Execution

    @property
    def dtype(self) -> str:
        """The dtype of the engine's computation."""
        return self.execution.dtype

    @property
    def case(self) -> Case:
        """The case that diverges."""
        return self.execution.case

    def forward(
        self,
        spec: Graph,
        weights: Mapping[str, Array],
        steps: Iterable[Step],
        carried: Mapping[str, State] | None = None,
    ) -> Answers:
        """Runs forward steps on both, from the same numbers in the precision of the dtype.

        Args:
            spec: the model.
            weights: by `layer/weight`.
            steps: what to run.
            carried: the states that stateful layers begin with.

        Raises:
            WorkerError: where the engine raised, crashed or timed out.
            UnsupportedError: where it does not execute this model.
        """
        job = Job(
            spec,
            {name: rounded(array, self.dtype) for name, array in weights.items()},
            tuple(rounded_step(step, self.dtype) for step in steps),
            dtype=self.dtype,
            layers=self.execution.options.layers,
            device=self.execution.options.device,
            carried={name: self.rounded(state) for name, state in (carried or {}).items()},
        )
        desired = Executor(ReferenceEngine()).execute(dataclasses.replace(job, dtype="float64", device="cpu"))
        return Answers(self.execution.pool.execute(self.execution.engine, job).answers, desired.answers)

    def once(self, spec: Graph, weights: Mapping[str, Array], batch: Batch) -> tuple[Answer, Answer]:
        """One step, actual and desired."""
        found = self.forward(spec, weights, [Step("forward", batch, keep=KEPT)])
        return found.actual[0], found.desired[0]

    def rounded(self, state: State) -> State:
        """The state in the precision of the dtype."""
        return State(*(rounded(np.asarray(array), self.dtype) for array in state))

    def outside(self, actual: Array, desired: Array, times: float = 1.0) -> Array:
        """Where the values part, boolean; what is not a number parts from everything.

        Args:
            actual: of the engine.
            desired: of the reference, of the same shape.
            times: how many times its row a value may be away.
        """
        options = self.execution.options
        row = tolerance(self.dtype, options.device, "hidden", options.atol, options.rtol)
        with np.errstate(invalid="ignore"):
            inside: Array = np.abs(actual - desired) <= times * (row.atol + row.rtol * np.abs(desired))
        return ~inside
