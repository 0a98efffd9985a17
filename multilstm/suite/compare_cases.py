"""Runs cases on engines and judges every quantity against the reference.

One thread an engine, one process an engine, and as many jobs at a time as there are cores; the reference computes
every case once, in float64.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.compare import VERDICTS, Comparison, Rounding, Tolerance, compare, tolerance
from multilstm.compare.tolerances import FORWARD
from multilstm.errors import MultilstmError, UnsupportedError, WorkerError
from multilstm.execution.execute import execute, parts
from multilstm.execution.options import Options
from multilstm.execution.quantities import Quantities, collect
from multilstm.execution.rounding import rounded
from multilstm.explain import explain, explain_error, first_block
from multilstm.frameworks.machine import cores
from multilstm.jobs.implementation import Implementation
from multilstm.ledger.matching import judge
from multilstm.report.data import Cell
from multilstm.spec.arrays import Array
from multilstm.workers import WorkerPool

Progress = Callable[[str, str, str, str, Sequence[Cell]], None]  # engine, case, dtype, part, its cells


def suite_pool(options: Options) -> WorkerPool:
    """Worker processes for a suite: as many at work at a time as there are cores, which they share."""
    parallel = min(cores(), len(options.engines) + 1)
    return WorkerPool(options.timeout_s, threads=max(1, cores() // parallel), parallel=parallel)


def run_suite(
    cases: Sequence[Case],
    options: Options,
    progress: Progress = lambda *_: None,
    pool: WorkerPool | None = None,
) -> tuple[Cell, ...]:
    """Runs every case on every engine and judges it.

    Args:
        cases: what to run.
        options: how.
        progress: called from worker threads after each part.
        pool: what `suite_pool` returned, for several suites in a row; None: processes of its own.

    Returns:
        All cells, by case, engine and dtype, in the order given.

    Raises:
        EngineUnavailableError: where an engine of `options.engines` cannot run here.
    """
    stop = threading.Event()
    with suite_pool(options) if pool is None else contextlib.nullcontext(pool) as pool:
        reference = _Reference(pool, options)
        with concurrent.futures.ThreadPoolExecutor(len(options.engines) + 1) as threads:
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
        self._answers: dict[tuple[str, str, str], concurrent.futures.Future[Quantities]] = {}
        self._lock = threading.Lock()
        self._abandoned = False

    def compute(self, cases: Sequence[Case], stop: threading.Event) -> None:
        for case in cases:
            for dtype in self._options.dtypes:
                for part in parts(case, dtype, self._options):
                    if not stop.is_set():
                        self._fill(case, dtype, part)

    def desired(self, case: Case, dtype: str, part: str) -> Quantities:
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

    def _future(self, case: Case, dtype: str, part: str) -> concurrent.futures.Future[Quantities]:
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
    actual: Quantities = {}
    implementation = Implementation()
    seconds = 0.0
    try:
        result = execute(pool, engine, case, part, dtype, options)
        actual, implementation, seconds = collect(part, case, result), result.implementation, result.seconds
    except (WorkerError, UnsupportedError) as raised:
        error = raised
    try:
        desired = reference.desired(case, dtype, part)
    except WorkerError as raised:
        desired, error = {}, raised
    if engine == "reference":  # it answers in float64, whatever the dtype of its job
        actual = {name: [rounded(array, dtype) for array in arrays] for name, arrays in actual.items()}
    cells = []
    for quantity in dict.fromkeys((*desired, *actual)) or (part,):
        if quantity != part and not options.wants(quantity):
            continue
        if error is not None:
            verdict = "unsupported" if isinstance(error, UnsupportedError) else "error"
            comparison = Comparison(quantity, verdict, message=str(error))
        else:
            row = tolerance(dtype, options.device, quantity, options.atol, options.rtol)
            pair = actual.get(quantity, []), desired.get(quantity, [])
            comparison = compare_all(quantity, *pair, row)
            if comparison.verdict == "diverges" and pair[0] and pair[1]:
                block = first_block(case.spec, quantity, pair[0][0], pair[1][0], row)
                comparison = dataclasses.replace(comparison, explanation=block)
        where = (case.name, engine, options.device, dtype, options.layers)
        cells.append(Cell(*where, seconds, implementation, comparison))
    cells = judge(case, cells)
    broken = [cell for cell in cells if cell.verdict == "error"]
    if broken and part == "forward" and isinstance(error, WorkerError) and error.kind in ("exception", "crash"):
        return _with(cells, broken, str(explain_error(pool, engine, case, dtype, options)))
    wrong = [cell for cell in cells if cell.verdict == "diverges" and cell.kind in FORWARD]
    return _with(cells, wrong, str(explain(pool, engine, case, dtype, options))) if wrong else cells


def _with(cells: list[Cell], wrong: list[Cell], explanation: str) -> list[Cell]:
    """The cells, those that are wrong with an explanation that they share."""
    return [
        dataclasses.replace(cell, comparison=dataclasses.replace(cell.comparison, explanation=explanation))
        if cell in wrong
        else cell
        for cell in cells
    ]


def compare_all(quantity: str, actual: list[Array], desired: list[Array], row: Tolerance) -> Comparison:
    """Judges a quantity that a part gave several times, once a batch: the weakest verdict, the largest distances."""
    count = max(len(actual), len(desired))
    each = [
        compare(
            quantity,
            actual[index] if index < len(actual) else None,
            desired[index] if index < len(desired) else None,
            row,
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
