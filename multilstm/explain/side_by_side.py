"""Engine and reference side by side: the same forward job on both, and the test whether two arrays differ.

The reference computes in float64, in this process. Arrays differ where they exceed the table of tolerances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from multilstm.cases.case import KEPT, Case
from multilstm.compare import tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.jobs.job import Answer, Batch, Job, Step
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array, as_state


class Answers(NamedTuple):
    """Answers of engine and reference to the same steps, one for each step."""

    actual: tuple[Answer, ...]
    desired: tuple[Answer, ...]


@dataclasses.dataclass(frozen=True)
class Sides:
    """One engine and the reference, on one case in one dtype.

    Attributes:
        execution: the case on the engine.
    """

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
        carried: Mapping[str, AnyState] | None = None,
    ) -> Answers:
        """Run forward steps on both, from the same numbers, rounded to the dtype.

        Args:
            spec: the model.
            weights: arrays by `layer/weight`.
            steps: the steps.
            carried: initial states of stateful layers.

        Raises:
            WorkerError: if the engine raised, crashed, timed out, or returned an incomplete answer.
            UnsupportedError: if the engine does not execute this model.
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
        answers = Answers(self.execution.execute(job).answers, desired.answers)
        self._require_complete(answers)
        return answers

    def _require_complete(self, answers: Answers) -> None:
        """Return if the engine's answers have all outputs and states of the reference's.

        Raises:
            WorkerError: otherwise.
        """

        def incomplete(returned: str, expected: str) -> WorkerError:
            message = f"engine {self.execution.engine!r} returned {returned}, expected {expected}"
            return WorkerError(message, kind="exception")

        if len(answers.actual) != len(answers.desired):
            raise incomplete(f"{len(answers.actual)} answers", str(len(answers.desired)))
        for actual, desired in zip(*answers, strict=True):
            if len(actual.outputs) != len(desired.outputs):
                raise incomplete(f"{len(actual.outputs)} outputs", str(len(desired.outputs)))
            missing = [name for name in desired.states if name not in actual.states]
            if missing:
                raise incomplete(f"no state of {', '.join(missing)}", "every state of every recurrent layer")

    def once(self, spec: Graph, weights: Mapping[str, Array], batch: Batch) -> tuple[Answer, Answer]:
        """Run one step and return the answers, actual and desired."""
        answers = self.forward(spec, weights, [Step("forward", batch, keep=KEPT)])
        return answers.actual[0], answers.desired[0]

    def rounded(self, state: AnyState) -> AnyState:
        """Return the state rounded to the dtype."""
        return as_state(*(rounded(np.asarray(array), self.dtype) for array in state))

    def differs(self, actual: Array, desired: Array, times: float = 1.0) -> Array:
        """Return a boolean array that is True where the values differ; NaN differs from every value.

        Args:
            actual: the engine's values.
            desired: the reference's values, of the same shape.
            times: factor of the tolerance.
        """
        options = self.execution.options
        row = tolerance(self.dtype, options.device, "hidden", options.atol, options.rtol)
        with np.errstate(invalid="ignore"):
            within: Array = np.abs(actual - desired) <= times * row.allowed(desired)
        return ~within
