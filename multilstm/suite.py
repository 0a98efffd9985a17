"""Runs cases on engines and judges every quantity against the reference.

One thread an engine, one process an engine, and as many jobs at a time as there are cores; the reference computes
every case once, in float64. A case has up to four parts, each a job (or, for long trainings, several in a row):
`forward`, `gradient`, `program`, and, in float64, exactly 100 `updates`. What a part gives is named `kind:where`, for
example `hidden:lstm`, `gradient:lstm/kernel`, `loss:program`.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from multilstm.case import Case
from multilstm.compare import VERDICTS, Comparison, Rounding, compare, tolerance
from multilstm.compare.tolerances import EXACT, FORWARD, QUANTITIES
from multilstm.engines.registry import engine_row
from multilstm.errors import MultilstmError, UnsupportedError, UsageError, WorkerError, choice
from multilstm.job import DEVICES, DTYPES, LAYERS, Array, Batch, Job, Result, Step
from multilstm.report.data import Cell
from multilstm.state import State
from multilstm.weights import discriminating_weights
from multilstm.workers import WorkerPool

PARTS = {
    "forward": (*EXACT, *FORWARD),
    "gradient": ("gradient",),
    "program": ("loss", "accuracy", "weights", "trained_hidden", "trained_cell"),
    "updates": ("loss", "weights", "trained_hidden", "trained_cell"),
}
_JOB_BYTES = 64e6  # a longer training is cut into several jobs, each going on where the last one ended


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare, and how.

    Attributes:
        engines: names of the engines to judge.
        dtypes: dtypes to compute in.
        layers: `portable` or `plain`.
        device: `cpu` or `gpu`.
        quantities: kinds to compare; empty: all.
        atol: replaces the tolerance table, with `rtol`.
        rtol: see `atol`.
        timeout_s: after which a job is given up.
    """

    engines: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    layers: str = "portable"
    device: str = "cpu"
    quantities: tuple[str, ...] = ()
    atol: float | None = None
    rtol: float | None = None
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for quantity in self.quantities:
            if quantity not in QUANTITIES:
                raise UsageError(choice("quantity", quantity, QUANTITIES))
        for dtype in self.dtypes:
            if dtype not in DTYPES:
                raise UsageError(choice("dtype", dtype, DTYPES))
        for what, given, known in (("layers", self.layers, LAYERS), ("device", self.device, DEVICES)):
            if given not in known:
                raise UsageError(choice(what, given, known))
        for name, value in (("atol", self.atol), ("rtol", self.rtol)):
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"{name} must be a finite number that is not negative, got {value}")
        if not 0 < self.timeout_s < math.inf:
            raise UsageError(f"the timeout must be a positive number of seconds, got {self.timeout_s}")

    def wants(self, quantity: str) -> bool:
        """Whether a quantity `kind:where` is to be compared."""
        return not self.quantities or quantity.split(":")[0] in self.quantities


Progress = Callable[[str, str, str, str, Sequence[Cell]], None]  # engine, case, dtype, part, its cells
Desired = dict[str, list[Array]]


def run_suite(cases: Sequence[Case], options: Options, progress: Progress = lambda *_: None) -> tuple[Cell, ...]:
    """Runs every case on every engine and judges it.

    Args:
        cases: what to run.
        options: how.
        progress: called from worker threads after each part.

    Returns:
        All cells, by case, engine and dtype, in the order given.

    Raises:
        EngineUnavailableError: where an engine of `options.engines` cannot run here.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    everyone = len(options.engines) + 1
    parallel = min(cores, everyone)
    stop = threading.Event()
    with WorkerPool(options.timeout_s, threads=max(1, cores // parallel), parallel=parallel) as pool:
        reference = _Reference(pool, options)
        with concurrent.futures.ThreadPoolExecutor(everyone) as threads:
            desired: concurrent.futures.Future[Any] = threads.submit(reference.compute, cases, stop)
            judged: list[concurrent.futures.Future[Any]] = [
                threads.submit(_run_engine, pool, engine, cases, options, reference, progress, stop)
                for engine in options.engines
            ]
            try:
                done, _ = concurrent.futures.wait((desired, *judged), return_when=concurrent.futures.FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                stop.set()
                pool.close()  # ends the jobs under way, and so their threads
                reference.abandon()
                raise
    order = {name: index for index, name in enumerate(case.name for case in cases)}
    cells = [cell for future in judged for cell in future.result()]
    engines = {name: index for index, name in enumerate(options.engines)}
    return tuple(sorted(cells, key=lambda cell: (order[cell.case], engines[cell.engine])))


class _Reference:
    """The judge: what every part of every case should give, computed once and awaited by all engines."""

    def __init__(self, pool: WorkerPool, options: Options) -> None:
        self._pool = pool
        self._options = options
        self._answers: dict[tuple[str, str, str], concurrent.futures.Future[Desired]] = {}
        self._lock = threading.Lock()
        self._abandoned = False

    def compute(self, cases: Sequence[Case], stop: threading.Event) -> None:
        for case in cases:
            for dtype in self._options.dtypes:
                for part in parts(case, dtype, self._options):
                    if not stop.is_set():
                        self._fill(case, dtype, part)

    def desired(self, case: Case, dtype: str, part: str) -> Desired:
        return self._future(case, dtype, part).result()

    def _fill(self, case: Case, dtype: str, part: str) -> None:
        future = self._future(case, dtype, part)
        if future.done():
            return
        try:
            desired = collect(part, case, execute(self._pool, "reference", case, part, dtype, self._options))
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
            if not isinstance(error, MultilstmError):
                raise
        else:
            if not future.done():
                future.set_result(desired)

    def abandon(self) -> None:
        """Ends the waiting of all engines: nothing more will be computed."""
        with self._lock:
            self._abandoned = True
            for future in self._answers.values():
                future.cancel()

    def _future(self, case: Case, dtype: str, part: str) -> concurrent.futures.Future[Desired]:
        key = (case.name, part, "any" if case.exact_in_float32 else dtype)
        with self._lock:
            future = self._answers.setdefault(key, concurrent.futures.Future())
            if self._abandoned:
                future.cancel()
            return future


def _run_engine(
    pool: WorkerPool,
    engine: str,
    cases: Sequence[Case],
    options: Options,
    reference: _Reference,
    progress: Progress,
    stop: threading.Event,
) -> list[Cell]:
    cells: list[Cell] = []
    for case in cases:
        for dtype in options.dtypes:
            for part in parts(case, dtype, options, engine):
                if stop.is_set():
                    return cells
                made = _run_part(pool, engine, case, part, dtype, options, reference)
                progress(engine, case.name, dtype, part, made)
                cells += made
    return cells


def _run_part(
    pool: WorkerPool, engine: str, case: Case, part: str, dtype: str, options: Options, reference: _Reference
) -> list[Cell]:
    error: MultilstmError | None = None
    actual: Desired = {}
    implementation = ""
    seconds = 0.0
    try:
        result = execute(pool, engine, case, part, dtype, options)
        actual, implementation, seconds = collect(part, case, result), result.implementation, result.seconds
    except (WorkerError, UnsupportedError) as raised:
        error = raised
    desired = reference.desired(case, dtype, part)
    cells = []
    for quantity in dict.fromkeys((*desired, *actual)):
        if not options.wants(quantity):
            continue
        if error is not None:
            verdict = "unsupported" if isinstance(error, UnsupportedError) else "error"
            comparison = Comparison(quantity, verdict, message=str(error))
        else:
            row = tolerance(dtype, options.device, quantity, options.atol, options.rtol)
            comparison = _compare_all(quantity, actual.get(quantity, []), desired.get(quantity, []), row)
        where = (case.name, engine, options.device, dtype, options.layers)
        cells.append(Cell(*where, seconds, implementation, comparison))
    return cells


def _compare_all(quantity: str, actual: list[Array], desired: list[Array], row: object) -> Comparison:
    """Judges a quantity that a part gave several times, once a batch: the weakest verdict, the largest distances."""
    count = max(len(actual), len(desired))
    each = [
        compare(
            quantity,
            actual[index] if index < len(actual) else None,
            desired[index] if index < len(desired) else None,
            row,  # type: ignore[arg-type]
        )
        for index in range(count)
    ]
    worst = max(range(count), key=lambda index: VERDICTS.index(each[index].verdict))
    message = each[worst].message
    total = Rounding()
    for one in each:
        total = total + one.rounding
    return dataclasses.replace(
        each[worst],
        max_abs=max((one.max_abs for one in each if one.max_abs is not None), default=None),
        share=max((one.share for one in each if one.share is not None), default=None),
        max_ulp=max((one.max_ulp for one in each if one.max_ulp is not None), default=None),
        rounding=total,
        message=f"batch {worst}: {message}" if message and count > 1 else message,
    )


def parts(case: Case, dtype: str, options: Options, engine: str = "reference") -> Iterator[str]:
    """The parts of a case that give something that is wanted.

    The 100 updates are made in float64 alone: they show that the rule of the optimizer is the same. In float32 they
    would show how training amplifies rounding, which is seen in the program's own losses. A witness does not train: it
    would repeat the optimizer's rule, and not show it.
    """
    trains = not engine_row(engine).witness
    possible = {
        "forward": True,
        "gradient": case.loss is not None,
        "program": trains and bool(case.training),
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
    weights = case.weights if case.weights is not None else discriminating_weights(case.spec, case.seed)
    if engine == "reference":  # it computes in float64, from what the others are given
        weights = {name: rounded(array, dtype) for name, array in weights.items()}
        steps = (_rounded_step(step, dtype) for step in steps)
    job = Job(
        case.spec,
        weights,
        (),
        dtype="float64" if engine == "reference" else dtype,
        layers=options.layers,
        device="cpu" if engine == "reference" else options.device,
        loss=case.loss,
        optimizer=case.optimizer,
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


def rounded(array: Array, dtype: str) -> Array:
    """The array in the precision of `dtype`; integers and booleans as they are."""
    return array.astype(dtype) if array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(dtype).itemsize else array


def _rounded_step(step: Step, dtype: str) -> Step:
    batch = step.batch
    return dataclasses.replace(
        step,
        batch=Batch(
            {name: rounded(array, dtype) for name, array in batch.inputs.items()},
            tuple(rounded(array, dtype) for array in batch.targets),
            batch.masks,
            {name: State(*(rounded(array, dtype) for array in state)) for name, state in batch.states.items()},
            {name: rounded(array, dtype) for name, array in batch.dropout.items()},
        ),
    )


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


def collect(part: str, case: Case, result: Result) -> Desired:
    """What a part gave, by quantity, one array for every batch that gave it."""
    found: Desired = {}

    def add(quantity: str, array: object) -> None:
        found.setdefault(quantity, []).append(np.asarray(array))

    if part == "forward":
        add("parameter_count", sum(result.parameter_counts.values()))
        for layer, count in result.parameter_counts.items():
            add(f"parameter_count:{layer}", count)
    trained = "trained_" if part in ("program", "updates") else ""
    several = len(case.spec.outputs) > 1
    for answer in result.answers:
        for index, array in enumerate(answer.outputs):
            add(f"output:{index}" if several else "output", array)
        for name, array in answer.sequences.items():
            add(f"sequence:{name}", array)
        for name, state in answer.states.items():
            for field, array in state._asdict().items():
                add(f"{trained}{field}:{name}" + (f"/{part}" if trained else ""), array)
        for name, array in answer.gradients.items():
            add(f"gradient:{name}", array)
    if trained:
        dtype = next(iter(result.weights.values())).dtype
        add(f"loss:{part}", np.array([answer.loss for answer in result.answers], dtype))
        accuracies = [answer.accuracy for answer in result.answers if answer.accuracy is not None]
        if accuracies and part == "program":
            add(f"accuracy:{part}", np.array(accuracies, dtype))
        for name, array in result.weights.items():
            add(f"weights:{part}/{name}", array)
    return found
