"""The files that a benchmark writes: `--json`, `--html` and `--plots`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from multilstm.cli.console import print_written
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from multilstm.bench.results import Benchmark


@dataclasses.dataclass(frozen=True)
class BenchFiles:
    """The paths of the options with these names; None: not given. `-` is standard output."""

    json: str | None = None
    html: str | None = None
    plots: str | None = None

    def check(self, read: Iterable[tuple[str, str]]) -> None:
        """Refuse files that cannot be written, or that the command reads or writes with another option too.

        Args:
            read: the name in messages and the path of each file that the command reads.

        Raises:
            UsageError: for a path that is given twice, and `-` for both files.
            InputError: for a file or folder that cannot be written.
            EngineUnavailableError: for plots without matplotlib.
        """
        from multilstm.bench.pictures import check_folder
        from multilstm.files import check_outputs

        if self.json == self.html == "-":
            raise UsageError("--json and --html are both standard output; give one of them a path")
        paths = {"--json": self.json, "--html": self.html}
        check_outputs({name: path for name, path in paths.items() if path not in (None, "-")}, read)
        if self.plots is not None:
            check_folder(self.plots)

    def write(self, result: Benchmark) -> None:
        """Write the files of a result, if it has a row; an empty run replaces no recorded one."""
        from multilstm.bench.page import to_html
        from multilstm.bench.pictures import write_pictures
        from multilstm.report.files import write_text

        if not result.rows:
            return
        if self.json is not None:
            result.write(self.json)
        if self.html is not None:
            write_text(self.html, to_html(result))
        if self.plots is not None:
            write_pictures(result, self.plots)

    def announce(self, result: Benchmark, console: Console) -> None:
        """Print the files that `write` has written."""
        if result.rows:
            print_written((self.json, self.html, self.plots), console)
