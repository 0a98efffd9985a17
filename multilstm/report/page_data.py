"""The cells of reports as compact data for the script of the page.

Texts stand once, in a list, and the other lists hold their places in it. The quantities of one job stand together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from multilstm.compare import VERDICTS
from multilstm.compare.tolerances import tolerance
from multilstm.errors import UsageError
from multilstm.report.command import options_of, run_command
from multilstm.report.data import Cell, Report
from multilstm.report.words import ASPECTS, LETTERS, MEANING, printable
from multilstm.version import __version__

__all__ = ["known_rows", "page_data"]

DIGITS = 3


class _Texts:
    """Texts by their place in a list; each is printable."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Return the place of a text."""
        return self.places.setdefault(printable(text), len(self.places))


def page_data(reports: Mapping[str, Report]) -> dict[str, Any]:
    """Return the data of the page.

    Args:
        reports: the reports, by name; the data of a single one has no name.
    """
    texts = _Texts()
    texts("")  # the place 0 is the empty text
    runs = [_run(name if len(reports) > 1 else "", report, texts) for name, report in reports.items()]
    rows = {name: row for report in reports.values() for name, row in known_rows(report).items()}
    return {
        "verdicts": VERDICTS,
        "letters": LETTERS,
        "meaning": MEANING,
        "aspects": ASPECTS,
        "ledger": _printable(rows),
        "runs": runs,
        "texts": list(texts.places),
    }


def known_rows(report: Report) -> dict[str, Mapping[str, Any]]:
    """Return the rows of the ledger that explain a cell, by id; a report may lack all texts but the title."""
    known = {row.id: row.title for cell in report.cells for row in cell.comparison.known}
    without = {"consequence": "", "advice": "", "link": ""}
    return {name: report.ledger.get(name, {"id": name, "title": title, **without}) for name, title in known.items()}


def _run(name: str, report: Report, texts: _Texts) -> dict[str, Any]:
    """Return one report: the command that its cells share, the reasons of its tolerances, and its jobs."""
    engines = options_of(report).get("engines")
    return {
        "name": printable(name),
        "command": run_command(report),
        "model": report.arguments is not None and report.arguments.model is not None,
        "engines": [printable(str(engine)) for engine in engines] if isinstance(engines, (list, tuple)) else [],
        "reasons": _reasons(report, texts),
        "shortened": {printable(case): printable(reduction) for case, reduction in report.shortened.items()},
        "jobs": list(_jobs(report, texts)),
    }


def _reasons(report: Report, texts: _Texts) -> dict[str, int]:
    """Return the reason of each tolerance by dtype, device and kind; those of this version alone are known."""
    keys = {(cell.dtype, cell.device, cell.kind) for cell in report.cells if cell.comparison.tolerance}
    if report.environment.get("multilstm") != __version__:
        return {}
    options = options_of(report)
    reasons = {}
    for dtype, device, kind in sorted(keys):
        try:
            row = tolerance(dtype, device, kind, options.get("atol"), options.get("rtol"))
        except UsageError:
            continue
        reasons[f"{printable(dtype)}/{printable(device)}/{kind}"] = texts(row.reason)
    return reasons


def _jobs(report: Report, texts: _Texts) -> Iterator[list[Any]]:
    """Yield each job with its cells: `[case, engine, device, dtype, layers, seconds, kernel, cells]`."""
    for (names, kernel), cells in itertools.groupby(
        report.cells,
        key=lambda cell: ((cell.case, cell.engine, cell.device, cell.dtype, cell.layers), str(cell.implementation)),
    ):
        group = list(cells)
        rows = [_cell(cell, texts) for cell in group]
        yield [*map(texts, names), _short(group[0].seconds), texts(kernel), rows]


def _cell(cell: Cell, texts: _Texts) -> list[Any]:
    """Return one cell without the empty values at its end."""
    comparison = cell.comparison
    values = [
        texts(str(cell.quantity)),
        VERDICTS.index(cell.verdict),
        texts(comparison.tolerance),
        _short(comparison.max_abs),
        _short(comparison.share),
        _short(comparison.max_ulp),
        texts(comparison.message),
        texts(comparison.explanation),
        [row.id for row in comparison.known] or 0,
        _short(comparison.response),
    ]
    while not values[-1] and values[-1] is not None:
        values.pop()
    return values


def _short(number: float | None) -> float | int | None:
    """Return a number with three digits; None for a missing or infinite one."""
    if number is None or number in (float("inf"), float("-inf")) or number != number:
        return None
    short = float(f"{number:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value
