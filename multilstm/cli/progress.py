"""Progress on standard error, next to the result: a bar on a terminal, elsewhere one line a job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich import progress as rich_progress
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from multilstm.suite.collected import Progress


class ProgressLines:
    """A context manager that shows the progress of a run; it is called after every part that is judged.

    Args:
        console: the console of the result. There is a bar if it and standard error are terminals.
    """

    def __init__(self, console: Console) -> None:
        self._start = time.perf_counter()
        self._errors = Console(stderr=True, highlight=False)
        self._bar: rich_progress.Progress | None = None
        if self._errors.is_terminal and console.is_terminal:
            columns = (
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(),
                rich_progress.MofNCompleteColumn(),
                rich_progress.TimeElapsedColumn(),
            )
            self._bar = rich_progress.Progress(*columns, console=self._errors, transient=True)
            self._task = self._bar.add_task("starting engines", total=None)

    def __enter__(self) -> ProgressLines:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show that one part of one case is judged, with its weakest verdict."""
        from multilstm.report.cells import weakest
        from multilstm.report.words import printable

        case = printable(progress.case)
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=progress.done,
                total=progress.total,
                description=escape(f"{progress.engine} {case}"),
            )
            return
        verdict = weakest(progress.cells).verdict if progress.cells else "nothing"
        elapsed = time.perf_counter() - self._start
        place = f"[{progress.done}/{progress.total}] {elapsed:5.0f} s"
        line = f"{place}  {progress.engine} {case} {progress.dtype} {progress.part}: {verdict}"
        self._errors.print(line, markup=False, soft_wrap=True)


def say(line: str) -> None:
    """Print a line of progress on standard error."""
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)


def follower() -> Callable[[str], None]:
    """Return a function that prints a line of progress with the seconds since now."""
    start = time.perf_counter()
    return lambda line: say(f"{time.perf_counter() - start:5.0f} s  {line}")
