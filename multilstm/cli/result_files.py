"""The files of a report on the command line: `--json` and `--html`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from multilstm.cli.console import result_console

if TYPE_CHECKING:
    from rich.console import Console

    from multilstm.report.data import Report


@dataclasses.dataclass(frozen=True)
class ResultFiles:
    """The paths of the options with these names; None: not given. `-` is standard output."""

    json: str | None
    html: str | None

    def console(self) -> Console:
        """Return the console for the report as text."""
        return result_console(self.json, self.html)

    def write(self, report: Report, console: Console, verbose: bool) -> None:
        """Show the report and write its files; a failure to print loses no file, nor the reverse."""
        from multilstm.report.files import write_text
        from multilstm.report.terminal import show

        try:
            show(report, console, verbose)
        finally:
            for path, text in ((self.json, report.to_json), (self.html, report.to_html)):
                if path is not None and (report.cells or path == "-"):  # an empty run replaces no recorded one
                    write_text(path, text())
