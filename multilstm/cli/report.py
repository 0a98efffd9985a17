"""`multilstm report`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from multilstm.cli.bench_report import read_benchmarks, show_benchmarks
from multilstm.cli.console import print_written, result_console
from multilstm.cli.result_files import check_one_stream, print_annotations
from multilstm.cli.types import FilePath, Flag, Path
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from multilstm.report.report import Report


def report(
    *results: FilePath,
    html: Path = None,
    junit: Path = None,
    markdown: Path = None,
    annotations: Flag = False,
    verbose: Flag = False,
) -> int:
    """Show reports that `multilstm parity --json` wrote: on the terminal, as a page, or for a CI server.

    The exit code is 0 if all reports could be read, whether or not their answers agree.

    Parameters
    ----------
    results
        Files of `multilstm parity --json`, also of runs that were killed. Reports of several machines are merged if
        version, inputs and weights are the same; others are shown apart, with the reason. Or files of
        `multilstm bench --json`.
    html
        Write one page to this file in place of text; `-` is standard output. The page is one file and needs no network.
    junit
        Write JUnit XML to this file in place of text, one test case for each quantity; `-` is standard output.
    markdown
        Write a summary in GitHub's Markdown to this file in place of text; `-` is standard output.
    annotations
        Print each failure as an annotation of GitHub Actions (`::error ...`), at most 10 of each report.
    verbose
        Show one row a case instead of one row a program.
    """
    from multilstm.report.files import write_text
    from multilstm.report.merging import merged
    from multilstm.report.reading import read_report
    from multilstm.report.terminal import show

    written = {"--html": html, "--junit": junit, "--markdown": markdown}
    paths = {option: path for option, path in written.items() if path is not None}
    _check(results, paths)
    if benchmarks := read_benchmarks(results):
        show_benchmarks(benchmarks, paths)
        return 0
    reports = merged({path: read_report(path) for path in results})
    texts = {option: _writer(option)(reports) for option in paths}
    for option, path in paths.items():
        write_text(path, texts[option])
    console = result_console(*paths.values())
    for path, content in reports.items():
        if len(reports) > 1 and not paths:
            console.print(f"\n{path}", style="bold", markup=False)
        if not paths:
            show(content, console, verbose)
        if annotations:
            print_annotations(content, console)
    print_written(paths.values(), console)
    return 0


def _writer(option: str) -> Callable[[Mapping[str, Report]], str]:
    """Return the function that makes the text of an option."""
    from multilstm.report.html import to_html
    from multilstm.report.junit import to_junit
    from multilstm.report.markdown import to_markdown

    return {"--html": to_html, "--junit": to_junit, "--markdown": to_markdown}[option]


def _check(results: Sequence[str], written: Mapping[str, str]) -> None:
    """Refuse no result, standard input, a repeated result, and outputs as `check_outputs` does.

    Args:
        results: the paths of the reports.
        written: the paths that the command writes, by option.
    """
    from multilstm.files import check_outputs

    if not results:
        raise UsageError("no report is given; give files that `multilstm parity --json` wrote")
    if "-" in results:
        raise UsageError("standard input is given as a report; give the path of a file")
    if len(set(map(os.path.realpath, results))) < len(results):
        raise UsageError("a report is given twice; give each file once")
    check_one_stream(option for option, path in written.items() if path == "-")
    files = {option: path for option, path in written.items() if path != "-"}
    check_outputs(files, [("a report", path) for path in results])
