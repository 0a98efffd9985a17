"""Progress lines and the progress bar, on standard error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressLines:
    """Progress: a bar on a terminal, a plain line a job elsewhere; always on stderr, beside the result."""

    def __init__(self, console: Console, jobs: int) -> None:
        self._jobs, self._done, self._start = jobs, 0, time.perf_counter()
        self._errors = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        if self._errors.is_terminal and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._errors, transient=True)
            self._task = self._bar.add_task("starting engines", total=jobs)

    def __enter__(self) -> ProgressLines:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, engine: str, case: str, dtype: str, part: str, cells: Sequence[Any]) -> None:
        """Shows that one stage of one case is done, with its weakest verdict."""
        from multilstm.report.data import weakest
        from multilstm.report.terminal import printable

        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=escape(printable(f"{engine} {case}")))
            return
        verdict = weakest(cells).verdict if cells else "nothing"
        elapsed = time.perf_counter() - self._start
        line = f"[{self._done}/{self._jobs}] {elapsed:5.0f} s  {engine} {printable(case)} {dtype} {part}: {verdict}"
        self._errors.print(line, markup=False, soft_wrap=True)


def say(line: str) -> None:
    """A line of progress, on stderr, beside the result."""
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)
