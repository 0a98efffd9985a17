"""The files of a report on the command line: `--json`, `--resume`, `--html`, `--junit` and `--markdown`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from multilstm.cli.console import print_written, result_console
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from multilstm.report.report import Report
    from multilstm.report.run_file import RunFile


@dataclasses.dataclass(frozen=True)
class ResultFiles:
    """The paths of the options with these names; None: not given. `-` is standard output.

    Attributes:
        annotations: whether failures are also printed as annotations of GitHub Actions.
        verbose: whether the text has one row a case instead of one row a program.
    """

    json: str | None = None
    html: str | None = None
    junit: str | None = None
    markdown: str | None = None
    annotations: bool = False
    resume: str | None = None
    verbose: bool = False

    def console(self) -> Console:
        """Return the console for the report as text."""
        return result_console(self.json, self.html, self.junit, self.markdown)

    def run_file(self) -> RunFile | None:
        """Return the file to which the run appends its jobs; None without one, or for standard output.

        Raises:
            InputError: for a file of `--resume` that is no run.
        """
        from multilstm.report.reading import read_recorded
        from multilstm.report.run_file import RunFile

        if self.resume is not None:
            return RunFile(self.resume, read_recorded(self.resume))
        return None if self.json in (None, "-") else RunFile(str(self.json))

    def write(self, report: Report, file: RunFile | None, console: Console) -> None:
        """Show the report and write its files; a failure to print loses no file, nor the reverse."""
        from multilstm.report.files import write_text
        from multilstm.report.terminal import show

        try:
            show(report, console, self.verbose)
            if self.annotations:
                print_annotations(report, console)
        finally:
            if file is not None:
                file.end(report)
            texts = (report.to_json, report.to_html, report.to_junit, report.to_markdown)
            streamed = self.json if file is None else None
            written = [file.path] if file is not None and report.cells else []
            for path, text in zip((streamed, self.html, self.junit, self.markdown), texts, strict=True):
                if path is not None and (report.cells or path == "-"):  # an empty run replaces no recorded one
                    write_text(path, text())
                    written.append(path)
        print_written(written, console)


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
