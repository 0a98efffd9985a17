"""The parts of a case: which there are, how each is executed as jobs, and what it gives, by quantity.

A case has up to four parts, each a job (or, for long trainings, several in a row): `forward`, `gradient`, `program`,
and, in float64, exactly 100 `updates`. What a part gives is named `kind:where`, for example `hidden:lstm`,
`gradient:lstm/kernel`, `loss:program`, `weights:updates_10/lstm/kernel`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping

from multilstm.cases.case import Case
from multilstm.compare.tolerances import EXACT, FORWARD, GRADIENTS, TRAINED
from multilstm.engines.registry import engine_row
from multilstm.execution.options import Options
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.jobs.job import Batch, Job, Result, Step
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.weights.initializers import discriminating_weights
from multilstm.workers import WorkerPool

PARTS = {
    "forward": (*EXACT, *FORWARD),
    "gradient": GRADIENTS,
    "program": ("loss", "accuracy", *TRAINED, "trained_hidden", "trained_cell"),
    "updates": ("loss", *TRAINED, "trained_hidden", "trained_cell"),
}


_JOB_BYTES = 64e6  # a longer training is cut into several jobs, each going on where the last one ended


def parts(case: Case, dtype: str, options: Options, engine: str = "reference") -> Iterator[str]:
    """The parts of a case that give something that is wanted.

    The 100 updates are made in float64 alone: they show that the rule of the optimizer is the same. In float32 they
    would show how training amplifies rounding, which is seen in the program's own losses. A witness does not train: it
    would repeat the optimizer's rule, and not show it. Under mixed precision, and in tf32, nobody trains: weights and
    updates are in float32, and what differs is seen in the gradient.
    """
    differentiates = dtype in case.trained_in
    trains = differentiates and not engine_row(engine).partial
    possible = {
        "forward": True,
        "gradient": differentiates and case.loss is not None and bool(case.spec.trainable_weights),
        "program": trains and bool(case.training) and dtype in ("float32", "float64"),
        "updates": trains and case.updates_on is not None and dtype == "float64",
    }
    for part, kinds in PARTS.items():
        if possible[part] and any(options.wants(kind) for kind in kinds):
            yield part


def execute(pool: WorkerPool, engine: str, case: Case, part: str, dtype: str, options: Options) -> Result:
    """Runs one part of a case on an engine, cut into several jobs where it is long.

    Raises:
        WorkerError: where the engine raised, crashed or timed out.
        UnsupportedError: where it does not execute this case.
    """
    steps = {
        "forward": case.forward_steps,
        "gradient": case.gradient_steps,
        "program": case.training_steps,
        "updates": case.update_steps,
    }[part]()
    weights = weights_of(case)
    if engine == "reference":  # it computes in float64, from what the others are given
        weights = {name: rounded(array, dtype) for name, array in weights.items()}
        steps = (rounded_step(step, dtype) for step in steps)
    job = Job(
        case.spec,
        weights,
        (),
        dtype="float64" if engine == "reference" else dtype,
        layers=options.layers,
        device="cpu" if engine == "reference" else options.device,
        # A forward pass of its own, which cases of one model share, whether or not they are trained.
        loss=None if part == "forward" else case.loss,
        loss_scale=loss_scale(next(case.forward.batches())) if (part, dtype) == ("gradient", "mixed_float16") else 1.0,
        optimizer=None if part == "forward" else case.optimizer,
    )
    merged: Result | None = None
    for chunk in _chunks(steps):
        result = pool.execute(engine, dataclasses.replace(job, steps=chunk))
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


def loss_scale(batch: Batch) -> float:
    """The power of two next below the number of terms whose mean is the loss of a batch: the largest of its outputs.

    The loss's derivative by an output is that of a term divided by their number; times this, it is the term's again,
    which float16 holds, where the mean over 90,000 timesteps leaves it steps of 6e-8 for derivatives of 1e-5.
    """
    return 2.0 ** int(math.log2(max(1, *(target[..., :1].size for target in batch.targets))))


def weights_of(case: Case) -> Mapping[str, Array]:
    """The weights of a case: its own, or those that its seed makes."""
    return case.weights if case.weights is not None else _made(case.spec, case.seed)


@functools.lru_cache(64)
def _made(spec: Graph, seed: int) -> Mapping[str, Array]:
    """Every engine and every part asks for them again, and engines are not all at the same case."""
    return discriminating_weights(spec, seed)


def _chunks(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    chunk: list[Step] = []
    size = 0.0
    for step in steps:
        chunk.append(step)
        size += sum(array.nbytes for array in (*step.batch.inputs.values(), *step.batch.targets))
        if size > _JOB_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0.0
    if chunk:
        yield tuple(chunk)
