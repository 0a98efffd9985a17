"""`multilstm report` on results of `multilstm bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from multilstm.cli.console import print_written, result_console
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from multilstm.bench.results import Benchmark


def read_benchmarks(paths: Sequence[str]) -> list[Benchmark]:
    """Return the benchmarks of files; none if the first file is no benchmark.

    Raises:
        InputError: for a file that cannot be read, and for a report of `multilstm parity` among benchmarks.
    """
    from multilstm.bench.results import Benchmark, begins_as_benchmark

    return [Benchmark.read(path) for path in paths] if begins_as_benchmark(paths[0]) else []


def show_benchmarks(results: Sequence[Benchmark], paths: Mapping[str, str]) -> None:
    """Show benchmarks on the terminal, or write them as a page.

    Args:
        results: the benchmarks.
        paths: the files to write, by option; `--html` alone.

    Raises:
        UsageError: for another option.
        InputError: for a file that cannot be written.
    """
    from multilstm.bench.page import to_html
    from multilstm.bench.table import show
    from multilstm.report.files import write_text

    for option in paths:
        if option != "--html":
            raise UsageError(f"{option} is for reports of multilstm parity, but benchmarks are given; give --html")
    if "--html" in paths:
        write_text(paths["--html"], to_html(*results))
        print_written(paths.values(), result_console(*paths.values()))
        return
    for result in results:
        show(result, result_console())
