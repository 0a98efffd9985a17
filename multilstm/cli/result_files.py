"""The files of a report on the command line: `--json`, `--html`, `--junit` and `--markdown`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from multilstm.cli.console import result_console
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from multilstm.report.data import Report


@dataclasses.dataclass(frozen=True)
class ResultFiles:
    """The paths of the options with these names; None: not given. `-` is standard output.

    Attributes:
        annotations: whether failures are also printed as annotations of GitHub Actions.
    """

    json: str | None = None
    html: str | None = None
    junit: str | None = None
    markdown: str | None = None
    annotations: bool = False

    def console(self) -> Console:
        """Return the console for the report as text."""
        return result_console(self.json, self.html, self.junit, self.markdown)

    def write(self, report: Report, console: Console, verbose: bool) -> None:
        """Show the report and write its files; a failure to print loses no file, nor the reverse."""
        from multilstm.report.files import write_text
        from multilstm.report.terminal import show

        try:
            show(report, console, verbose)
            if self.annotations:
                print_annotations(report, console)
        finally:
            texts = (report.to_json, report.to_html, report.to_junit, report.to_markdown)
            for path, text in zip((self.json, self.html, self.junit, self.markdown), texts, strict=True):
                if path is not None and (report.cells or path == "-"):  # an empty run replaces no recorded one
                    write_text(path, text())


def print_annotations(report: Report, console: Console) -> None:
    """Print the failures of a report as annotations, each on one line."""
    from multilstm.report.annotations import annotation_lines

    for line in annotation_lines(report):
        console.print(line, markup=False, soft_wrap=True)


def check_one_stream(options: Iterable[str]) -> None:
    """Refuse several files on standard output.

    Args:
        options: the options whose path is `-`.
    """
    streams = tuple(options)
    if len(streams) > 1:
        raise UsageError(f"{' and '.join(streams)} are all standard output; give a path to all but one")
