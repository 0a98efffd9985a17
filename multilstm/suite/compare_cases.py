"""The comparison of cases on engines with the reference.

Each engine has one thread and one process. As many jobs run at a time as there are cores. The reference computes every
case once, in float64.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.execution.availability import Availability
from multilstm.execution.environment import environment
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import Quantities
from multilstm.frameworks.machine import cores
from multilstm.ledger.matching import explaining_rows, touches
from multilstm.report.data import Cell, Report
from multilstm.suite.drift import drift
from multilstm.suite.hidden_masks import idle_masks
from multilstm.suite.judge import Judge
from multilstm.suite.judge_part import judge_part
from multilstm.suite.recorded import RECORDED, judge_recorded, judged_in
from multilstm.weights.time_limit import time_limit
from multilstm.workers import WorkerPool


@dataclasses.dataclass(frozen=True)
class Progress:
    """One part of one case on one engine that is judged.

    Attributes:
        done: the number of parts that are judged, this one included.
        total: the number of parts of the whole run.
        engine: the engine's name.
        case: the case's name.
        dtype: the dtype of the computation.
        part: the part.
        cells: its judged quantities.
    """

    done: int
    total: int
    engine: str
    case: str
    dtype: str
    part: Part
    cells: Sequence[Cell]


OnProgress = Callable[[Progress], None]
Work = tuple[Execution, Part]


def worker_pool(options: Options) -> WorkerPool:
    """Return worker processes for a run; as many compute at a time as there are cores, which they share."""
    parallel = min(cores(), len(options.engines) + 1)
    return WorkerPool(options.timeout_s, max(1, cores() // parallel), parallel, options.memory_gb)


def compare_cases(
    cases: Sequence[Case],
    options: Options,
    on_progress: OnProgress = lambda _: None,
    *,
    availability: Availability | None = None,
    pool: WorkerPool | None = None,
    recorded: Quantities | None = None,
) -> Report:
    """Run every case on every engine, and judge it.

    Args:
        cases: the cases.
        options: engines, dtypes, layers, device and tolerances.
        on_progress: called after each part, from the threads of the engines.
        availability: the engines that were skipped, for the report.
        pool: workers for several calls in a row, as `worker_pool` returns them; None: new ones for this call.
        recorded: answers of another program to the forward pass of the only case; they are judged as an engine's.

    Returns:
        The report, its cells by case, engine and dtype in the order given.

    Raises:
        EngineUnavailableError: if an engine of `options.engines` cannot run here.
        InputError: if drawing the weights of a case exceeds the time limit of a job.
    """
    start = time.perf_counter()
    skipped, facts = (availability.skipped, availability.facts) if availability else ({}, {})
    cells = _cells(cases, options, on_progress, pool, recorded) if options.engines or recorded else ()
    return Report(
        cells=cells,
        environment=environment(options, facts),
        skipped=skipped,
        shortened={case.name: case.shortened for case in cases if case.shortened},
        seconds=time.perf_counter() - start,
        touches=_touches(cases, options),
        named=options.engines if availability and availability.named else (),
        origin=(cases[0].origin, *drift(cases[0])) if len(cases) == 1 and cases[0].origin else (),
        inputs=cases[0].description if len(cases) == 1 and not cases[0].family else "",
        without_recurrent=tuple(case.name for case in cases if not case.spec.recurrent),
        idle_masks=tuple(dict.fromkeys(name for case in cases for name in idle_masks(case))),
        ledger=explaining_rows(cells),
    )


def _touches(cases: Sequence[Case], options: Options) -> tuple[dict[str, Any], ...]:
    if len(cases) != 1 or options.layers != "plain":
        return ()
    return tuple(touch.to_dict() for touch in touches(cases[0], options))


class _Counter:
    """Counts the parts that are judged, and passes them on."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self._on_progress = on_progress

    def __call__(self, execution: Execution, part: Part, cells: Sequence[Cell]) -> None:
        with self._lock:
            self._done += 1
            done = self._done
        progress = Progress(done, self._total, execution.engine, execution.case.name, execution.dtype, part, cells)
        self._on_progress(progress)


def _draw_weights(cases: Sequence[Case], timeout_s: float) -> None:
    """Draw the weights of all cases, which the cases keep: once, and in the thread that a signal interrupts."""
    for case in cases:
        with time_limit(timeout_s):
            _ = case.initial_weights


def _cells(
    cases: Sequence[Case],
    options: Options,
    on_progress: OnProgress,
    pool: WorkerPool | None,
    recorded: Quantities | None,
) -> tuple[Cell, ...]:
    """Return all cells, by case, engine and dtype in the order given."""
    _draw_weights(cases, options.timeout_s)
    with worker_pool(options) if pool is None else contextlib.nullcontext(pool) as workers:
        engines = [
            [
                (execution, part)
                for case in cases
                for dtype in options.dtypes
                for execution in [Execution(workers, engine, case, dtype, options)]
                for part in due_parts(case, dtype, options, engine)
            ]
            for engine in options.engines
        ]
        judge = Judge(workers, options)
        cells = _judge_engines(engines, cases, judge, on_progress)
        if recorded:
            (case,), dtype = cases, judged_in(recorded, options)
            desired = judge.desired(case, dtype, Part.FORWARD)
            cells += judge_recorded(Execution(workers, RECORDED, case, dtype, options), recorded, desired)
    case_order = {case.name: index for index, case in enumerate(cases)}
    engine_order = {name: index for index, name in enumerate((*options.engines, RECORDED))}
    return tuple(sorted(cells, key=lambda cell: (case_order[cell.case], engine_order[cell.engine])))


def _judge_engines(
    engines: Sequence[Sequence[Work]], cases: Sequence[Case], judge: Judge, on_progress: OnProgress
) -> list[Cell]:
    """Judge the work of all engines, each in a thread of its own; the judge computes in another."""
    stop = threading.Event()
    counter = _Counter(sum(map(len, engines)), on_progress)
    with concurrent.futures.ThreadPoolExecutor(len(engines) + 1) as threads:
        desired: concurrent.futures.Future[Any] = threads.submit(judge.compute, cases, stop)
        judged: list[concurrent.futures.Future[Any]] = [
            threads.submit(_judge_engine, work, judge, counter, stop) for work in engines
        ]
        try:
            done, _ = concurrent.futures.wait((desired, *judged), return_when=concurrent.futures.FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            stop.set()
            judge.abandon()  # ends the jobs under way, and so their threads
            raise
    return [cell for future in judged for cell in future.result()]


def _judge_engine(work: Sequence[Work], judge: Judge, counter: _Counter, stop: threading.Event) -> list[Cell]:
    """Judge the work of one engine, until `stop` is set."""
    cells: list[Cell] = []
    for execution, part in work:
        if stop.is_set():
            break
        desired = functools.partial(judge.desired, execution.case, execution.dtype, part)
        judged = judge_part(execution, part, desired)
        counter(execution, part, judged)
        cells += judged
    return cells
