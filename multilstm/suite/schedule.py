"""The threads of a run: those of each engine judge its work, and one computes the answers of the reference."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.execution.execution import Execution
from multilstm.execution.part import Part
from multilstm.report.cells import Cell
from multilstm.suite.judge import Judge
from multilstm.suite.judge_part import judge_part

__all__ = ["OnJudged", "Work", "judge_work"]

Work = tuple[Execution, Part]
OnJudged = Callable[[Execution, Part, Sequence[Cell]], None]


class _Queue:
    """Work that several threads take from, each piece once, until the run is stopped."""

    def __init__(self, work: Iterable[Work], stop: threading.Event) -> None:
        self._work = iter(work)
        self._stop = stop
        self._lock = threading.Lock()

    @property
    def is_stopped(self) -> bool:
        """Whether the run was stopped."""
        return self._stop.is_set()

    def take(self) -> Work | None:
        """Return the next piece of work; None at the end."""
        with self._lock:
            return None if self.is_stopped else next(self._work, None)


def judge_work(
    by_engine: Sequence[tuple[int, Sequence[Work]]], cases: Sequence[Case], judge: Judge, on_judged: OnJudged
) -> None:
    """Judge the work of all engines; every piece is judged once.

    Args:
        by_engine: for each engine, the number of its jobs that may run at the same time, and its work.
        cases: the cases, for the judge.
        judge: the reference's answers.
        on_judged: called after each piece, from the threads of the engines.
    """
    stop = threading.Event()
    queues = [(_Queue(work, stop), lanes) for lanes, work in by_engine if work]
    with concurrent.futures.ThreadPoolExecutor(sum(lanes for _, lanes in queues) + 1) as threads:
        futures: list[concurrent.futures.Future[Any]] = [threads.submit(judge.compute, cases, stop)]
        futures += [threads.submit(_judge, queue, judge, on_judged) for queue, lanes in queues for _ in range(lanes)]
        try:
            done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            stop.set()
            judge.abandon()  # ends the jobs under way, and so their threads
            raise


def _judge(queue: _Queue, judge: Judge, on_judged: OnJudged) -> None:
    while (work := queue.take()) is not None:
        execution, part = work
        desired = functools.partial(judge.desired, execution.case, execution.dtype, part)
        cells = judge_part(execution, part, desired)
        if queue.is_stopped:
            return  # the stop ended the worker of this job: its error is no answer, and a later run repeats the job
        on_judged(execution, part, cells)
