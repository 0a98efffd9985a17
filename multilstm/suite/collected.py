"""The judged jobs of a run: counted, shown as progress, appended to a file, and kept for the report."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from multilstm.cases.case import Case
from multilstm.errors import InputError, shown
from multilstm.execution.digest import digest
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.execution.quantities import Quantities
from multilstm.report.cells import Cell, JobKey
from multilstm.report.run_file import RunFile

__all__ = ["Collected", "Due", "OnProgress", "Progress"]


class Due(NamedTuple):
    """A job that a run has to judge.

    Attributes:
        case: the case.
        dtype: the dtype of the computation.
        part: the part of the case.
        recorded: the answers of another program, which are judged; None: those of an engine.
    """

    case: Case
    dtype: str
    part: Part
    recorded: Quantities | None = None

    def key(self, engine: str, options: Options) -> JobKey:
        """Return the name of the job on an engine."""
        return JobKey(self.case.name, engine, options.device, self.dtype, options.layers, str(self.part))


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


class Collected:
    """The judged jobs of a run. Several threads may share it.

    Args:
        due: all jobs of the run, by the name of each.
        on_progress: called after each job, from the thread that judged it.
        file: the file to which each job is appended; None: none.

    Attributes:
        cells: the cells of all judged jobs, in the order of their end.
    """

    def __init__(self, due: Mapping[JobKey, Due], on_progress: OnProgress, file: RunFile | None) -> None:
        self.cells: list[Cell] = []
        self._due = due
        self._on_progress = on_progress
        self._file = file
        self._earlier_s = 0.0
        self._start = time.perf_counter()
        self._done: set[JobKey] = set()
        self._digests: dict[tuple[str, Part, bool], str] = {}
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """The wall-clock seconds of the run, those of an earlier run that it goes on with included."""
        return self._earlier_s + time.perf_counter() - self._start

    def is_done(self, job: JobKey) -> bool:
        """Whether a job is judged."""
        return job in self._done

    def take_over(self) -> None:
        """Take the jobs of the file's earlier run for judged.

        Raises:
            InputError: for a job that this run does not have, or that had other inputs, weights or recorded answers.
                Also for another number of jobs.
        """
        if self._file is None or self._file.earlier is None:
            return
        earlier = self._file.earlier
        for job, recorded in earlier.digests.items():
            due = self._due.get(job)
            fault = "" if due else "this run does not have it"
            if due and recorded != self.digest(due):
                fault = "its inputs, weights, model or recorded answers were others"
            if fault:
                raise InputError(
                    f"cannot go on with {self._file.path!r}: it holds the job {shown(str(job))}, but {fault}; repeat "
                    f"that run's options and files, or write a new file with --json"
                )
        if earlier.report.jobs != len(self._due):
            raise InputError(
                f"cannot go on with {self._file.path!r}: its first line counts {earlier.report.jobs} jobs, and this "
                f"run has {len(self._due)}; write a new file with --json"
            )
        self.cells += earlier.report.cells
        self._done |= earlier.digests.keys()
        self._earlier_s = earlier.elapsed_s

    def digest(self, due: Due) -> str:
        """Return the digest of a job, computed once for all engines and dtypes."""
        key = (due.case.name, due.part, due.recorded is None)
        if key not in self._digests:
            self._digests[key] = digest(due.case, due.part, due.recorded)
        return self._digests[key]

    def add(self, execution: Execution, part: Part, cells: Sequence[Cell]) -> None:
        """Take the cells of a job that is judged."""
        job = Due(execution.case, execution.dtype, part).key(execution.engine, execution.options)
        with self._lock:
            number = self.digest(self._due[job])
            judged = [dataclasses.replace(cell, digest=number) for cell in cells]
            self.cells += judged
            self._done.add(job)
            done = len(self._done)
            if self._file is not None:
                self._file.add(job, number, judged, self.seconds)
        progress = Progress(done, len(self._due), job.engine, job.case, job.dtype, part, judged)
        self._on_progress(progress)
