"""The consoles on which commands print their results and errors."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console

from multilstm.cli.streams import discard_output

WIDTH = 80  # of text that goes to a file or a pipe


class ResultConsole(Console):
    """A console for a result; a reader that closes the pipe early, such as `head`, does not end the command."""

    def on_broken_pipe(self) -> None:
        """Discard the rest of the output."""
        discard_output()


def result_console(*paths: str | None) -> Console:
    """Return the console for a result: standard output, or standard error if a file goes to standard output.

    Args:
        paths: the values of `--json`, `--html` and the other options that write a report.
    """
    return ResultConsole(stderr="-" in paths, highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def print_written(paths: Iterable[str | None], console: Console) -> None:
    """Print the files that a command has written; None and `-`, which is standard output, are none."""
    from multilstm.report.words import printable

    files = [path for path in paths if path not in (None, "-")]
    if files:
        console.print(printable(f"Written: {', '.join(map(str, files))}"), markup=False, soft_wrap=True)


def print_error(message: object) -> None:
    """Print an error on standard error: as one line, which a terminal shows broken at words."""
    from multilstm.report.words import printable

    line = f"multilstm: {printable(str(message))}"
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=not sys.stderr.isatty())
