"""One case on one engine in one dtype: its jobs, and the quantities of their results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

from multilstm.cases.case import Case
from multilstm.engines.registry import JUDGE
from multilstm.errors import EngineUnavailableError, MultilstmError, UnsupportedError, WorkerError
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities, quantities_of
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.jobs.job import Batch, Job, Result, Step
from multilstm.workers import Pool

JOB_BYTES = 64e6  # a training with more data is cut into several jobs; each continues where the last one ended


@dataclasses.dataclass(frozen=True)
class Execution:
    """One case on one engine in one dtype.

    Attributes:
        pool: the workers.
        engine: the engine's name.
        case: the case.
        dtype: the dtype of the computation. The judge computes in float64, from numbers rounded to this dtype.
        options: layers and device; the judge stays on the CPU.
        faults: the faults of plain Keras that the judge computes, see `multilstm.engines.reference.faults`.
    """

    pool: Pool
    engine: str
    case: Case
    dtype: str
    options: Options
    faults: tuple[str, ...] = ()

    def result(self, part: Part, steps: Iterable[Step] | None = None) -> Result:
        """Execute one part of the case, in several jobs if its data are large.

        Args:
            part: the part.
            steps: the steps to execute; None: those of the part.

        Raises:
            WorkerError: if the engine raised, crashed or timed out.
            UnsupportedError: if the engine does not execute this case.
        """
        job, steps = self._job(part), part.steps(self.case) if steps is None else steps
        if self.engine == JUDGE:
            steps = (rounded_step(step, self.dtype) for step in steps)
        merged: Result | None = None
        for chunk in _chunks(steps):
            result = self.execute(dataclasses.replace(job, steps=chunk))
            job = dataclasses.replace(
                job,
                weights=result.weights,
                slots=result.slots,
                carried=result.carried,
                iteration=job.iteration + sum(step.kind == "update" for step in chunk),
            )
            if merged is not None:
                answers, seconds = (*merged.answers, *result.answers), merged.seconds + result.seconds
                result = dataclasses.replace(result, answers=answers, seconds=seconds)
            merged = result
        assert merged is not None
        return merged

    def quantities(self, part: Part) -> Quantities:
        """Execute one part of the case and return its quantities.

        Raises:
            WorkerError: see `result`.
            UnsupportedError: see `result`.
        """
        return quantities_of(part, self.case, self.result(part))

    def execute(self, job: Job) -> Result:
        """Execute any job on the engine.

        The reference decides whether arrays fit a model. An engine that refuses arrays has failed.

        Raises:
            WorkerError: see `result`; also for an engine that raises another error of multilstm.
            UnsupportedError: see `result`.
        """
        try:
            return self.pool.execute(self.engine, job)
        except (EngineUnavailableError, UnsupportedError, WorkerError):
            raise
        except MultilstmError as error:
            if self.engine == JUDGE:
                raise
            name = type(error).__name__
            message = f"engine {self.engine!r}: {name}: {error}"
            raise WorkerError(message, kind="exception", exception=name) from error

    def _job(self, part: Part) -> Job:
        """Return the job of a part, without its steps."""
        case, judge = self.case, self.engine == JUDGE
        weights = case.initial_weights
        if judge:
            weights = {name: rounded(array, self.dtype) for name, array in weights.items()}
        forward = part is Part.FORWARD  # without a loss, all cases of one model share its compiled forward pass
        scaled = part is Part.GRADIENT and self.dtype == "mixed_float16"
        return Job(
            case.spec,
            weights,
            (),
            dtype="float64" if judge else self.dtype,
            layers=self.options.layers,
            device="cpu" if judge else self.options.device,
            loss=None if forward else case.loss,
            loss_scale=loss_scale(next(case.forward.batches())) if scaled else 1.0,
            optimizer=None if forward else case.optimizer,
            faults=self.faults if judge else (),
        )


def loss_scale(batch: Batch) -> float:
    """Return the scale with which float16 keeps the gradients of a loss.

    The loss is a mean over n terms, so its derivative with respect to one output is 1/n of a term's derivative. In
    float16 that underflows: over 90,000 timesteps a derivative of 1e-5 has steps of 6e-8. A scale of about n undoes it.

    Returns:
        The largest power of two that is at most n, for the largest of the model's outputs.
    """
    return 2.0 ** int(math.log2(max(1, *(target[..., :1].size for target in batch.targets))))


def _chunks(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield the steps in groups whose arrays take about `JOB_BYTES`."""
    chunk: list[Step] = []
    size = 0.0
    for step in steps:
        chunk.append(step)
        size += sum(array.nbytes for array in (*step.batch.inputs.values(), *step.batch.targets))
        if size > JOB_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0.0
    if chunk:
        yield tuple(chunk)
