"""The parts of generated pages: tables, and files that are written where they change."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterable, Iterator, Sequence

DOCS = pathlib.Path(__file__).parent
RECORDED = DOCS / "recorded"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def recorded_table(name: str) -> Iterator[str]:
    """Yield a recorded file of comma-separated values as a table."""
    with (RECORDED / name).open(encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    yield table(head, rows)


def write_changed(path: pathlib.Path, text: str) -> None:
    """Write a text, but leave a file with the same text alone."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
