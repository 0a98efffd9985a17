"""`multilstm report`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from multilstm.cli.console import result_console
from multilstm.cli.types import FilePath, Flag, Path
from multilstm.errors import UsageError


def report(*results: FilePath, html: Path = None, verbose: Flag = False) -> int:
    """Show reports that `multilstm parity --json` wrote, on the terminal or as a page.

    The exit code is 0 if all reports could be read, whether or not their answers agree.

    Parameters
    ----------
    results
        Files of `multilstm parity --json`, of one version of multilstm. Several are shown together. Nothing is
        merged: two machines may have drawn other inputs.
    html
        Write one page to this file in place of text; `-` is standard output. The page is one file and needs no network.
    verbose
        Show one row a case instead of one row a program.
    """
    from multilstm.report.files import check_writable, write_text
    from multilstm.report.html import to_html
    from multilstm.report.reading import read_report
    from multilstm.report.terminal import show

    _check(results, html)
    if html is not None:
        check_writable(html)
    reports = {path: read_report(path) for path in results}
    if html is not None:
        write_text(html, to_html(reports))
        return 0
    console = result_console()
    for path, content in reports.items():
        if len(reports) > 1:
            console.print(f"\n{path}", style="bold", markup=False)
        show(content, console, verbose)
    return 0


def _check(results: Sequence[str], html: str | None) -> None:
    """Refuse no result, standard input, a repeated file, and a page that would replace a result."""
    if not results:
        raise UsageError("no report is given; give files that `multilstm parity --json` wrote")
    if "-" in results:
        raise UsageError("standard input is given as a report; give the path of a file")
    paths = [os.path.realpath(path) for path in results]
    if len(set(paths)) < len(paths):
        raise UsageError("a report is given twice; give each file once")
    if html is not None and html != "-" and os.path.realpath(html) in paths:
        raise UsageError(f"--html {html!r} is one of the reports; give another path")
