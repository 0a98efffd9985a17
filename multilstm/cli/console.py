"""The console that shows a result: standard output, or standard error where JSON takes standard output."""

from __future__ import annotations

import sys

from rich.console import Console


def result_console(json: str | None = None) -> Console:
    """Standard output, or stderr where standard output is taken by JSON; never narrower than a table needs."""
    return Console(stderr=json == "-", highlight=False, width=None if sys.stdout.isatty() else 80)
