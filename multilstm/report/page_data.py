"""The cells of reports as compact data for the script of the page.

Two rules keep a page of thousands of jobs small. One number sums up the agreeing quantities of one kind in one job: the
largest share of their tolerance. Tables hold each text and each layout once, and all else has places in them:

    texts      every text
    groups     the quantities of one kind: `[kind, where, ...]`
    layouts    the agreeing quantities of a job: `[group, weakest verdict, tolerance, ...]`, three places for each kind

All other quantities keep every fact: those that differ, those that did not run, and those of a widened tolerance. One
line has all quantities of a kind whose facts are the same, such as those of a job that did not run.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from multilstm.compare import AGREES, VERDICTS, Comparison, Quantity
from multilstm.compare.tolerances import tolerance
from multilstm.errors import UsageError
from multilstm.report.cells import Cell, weakest
from multilstm.report.command import options_of, run_command
from multilstm.report.data import ReportData
from multilstm.report.words import ASPECTS, LETTERS, MEANING, printable
from multilstm.version import __version__

__all__ = ["known_rows", "page_data"]

DIGITS = 3
DIGITS_OF_SUM = 2


class _Table:
    """Values by their place in a list, each once."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        """Return the place of a value."""
        return self._places.setdefault(value, len(self._places))

    def values(self) -> list[Any]:
        """Return all values in the order of their places."""
        return list(self._places)


class _Tables:
    """The tables of a page."""

    def __init__(self) -> None:
        self._texts, self._groups, self.layouts = _Table(), _Table(), _Table()
        self.text("")  # the place 0 is the empty text

    def text(self, text: str) -> int:
        """Return the place of a text, which is made printable."""
        return self._texts(printable(text))

    def group(self, cells: list[Cell]) -> int:
        """Return the place of the quantities of some cells, which have one kind."""
        return self._groups((self.text(cells[0].kind), *(self.text(cell.quantity.where) for cell in cells)))

    def values(self) -> dict[str, list[Any]]:
        """Return the content of all tables, by name."""
        return {
            "texts": self._texts.values(),
            "groups": self._groups.values(),
            "layouts": self.layouts.values(),
        }


def page_data(reports: Mapping[str, ReportData]) -> dict[str, Any]:
    """Return the data of the page.

    Args:
        reports: the reports, by name; the data of a single one has no name.
    """
    tables = _Tables()
    runs = [_run(name if len(reports) > 1 else "", report, tables) for name, report in reports.items()]
    rows = {name: row for report in reports.values() for name, row in known_rows(report).items()}
    return {
        "verdicts": VERDICTS,
        "letters": LETTERS,
        "meaning": MEANING,
        "aspects": ASPECTS,
        "ledger": _printable(rows),
        "runs": runs,
        **tables.values(),
    }


def known_rows(report: ReportData) -> dict[str, Mapping[str, Any]]:
    """Return the rows of the ledger that explain a cell, by id; a report may lack all texts but the title."""
    known = {row.id: row.title for cell in report.cells for row in cell.comparison.known}
    without = {"consequence": "", "advice": "", "link": ""}
    return {name: report.ledger.get(name, {"id": name, "title": title, **without}) for name, title in known.items()}


def _run(name: str, report: ReportData, tables: _Tables) -> dict[str, Any]:
    """Return one report: the command that its cells share, the reasons of its tolerances, and its rows."""
    engines = options_of(report).get("engines")
    return {
        "name": printable(name),
        "command": run_command(report),
        "model": report.arguments is not None and report.arguments.model is not None,
        "engines": [printable(str(engine)) for engine in engines] if isinstance(engines, (list, tuple)) else [],
        "reasons": _reasons(report, tables),
        "rows": list(_rows(report, tables)),
    }


def _reasons(report: ReportData, tables: _Tables) -> dict[str, int]:
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
        reasons[f"{printable(dtype)}/{printable(device)}/{kind}"] = tables.text(row.reason)
    return reasons


def _rows(report: ReportData, tables: _Tables) -> Iterator[list[Any]]:
    """Yield the jobs of each case in one dtype: `[case, device, dtype, layers, reduction, job, ...]`."""
    rows: dict[tuple[str, ...], list[Cell]] = {}
    for cell in report.cells:
        rows.setdefault((cell.case, cell.device, cell.dtype, cell.layers), []).append(cell)
    for names, cells in rows.items():
        jobs = itertools.groupby(cells, key=lambda cell: (cell.engine, str(cell.implementation), cell.part))
        texts = [*names, report.shortened.get(names[0], "")]
        yield [
            *map(tables.text, texts),
            *(_job(engine, kernel, list(job), tables) for (engine, kernel, _), job in jobs),
        ]


def _job(engine: str, kernel: str, cells: list[Cell], tables: _Tables) -> list[Any]:
    """Return one job: `[engine, seconds, kernel, layout, share, distance, place, ..., line, ...]`.

    Each kind of the layout has three numbers: those of the quantity with the largest share of the tolerance.
    """
    kinds: dict[str, list[Cell]] = {}
    others: dict[Comparison, list[Cell]] = {}
    for cell in cells:
        if cell.verdict in AGREES and not cell.comparison.response:
            kinds.setdefault(cell.kind, []).append(cell)
        else:
            facts = dataclasses.replace(cell.comparison, quantity=Quantity(cell.kind))
            others.setdefault(facts, []).append(cell)
    layout, worsts = [], []
    for agreeing in kinds.values():
        worst = max(agreeing, key=lambda cell: cell.comparison.share or 0.0)
        verdict = VERDICTS.index(weakest(agreeing).verdict)
        layout += [tables.group(agreeing), verdict, tables.text(worst.comparison.tolerance)]
        sizes = (worst.comparison.share, worst.comparison.max_abs)
        worsts += [*(_short(size, DIGITS_OF_SUM) for size in sizes), agreeing.index(worst)]
    seconds = _short(cells[0].seconds, DIGITS_OF_SUM)
    lines = (_line(alike, tables) for alike in others.values())
    return [tables.text(engine), seconds, tables.text(kernel), tables.layouts(tuple(layout)), *worsts, *lines]


def _line(cells: list[Cell], tables: _Tables) -> list[Any]:
    """Return cells of one kind and with the same facts, without the empty values at the end."""
    comparison = cells[0].comparison
    values = [
        tables.group(cells),
        VERDICTS.index(comparison.verdict),
        tables.text(comparison.tolerance),
        _short(comparison.max_abs),
        _short(comparison.share),
        _short(comparison.max_ulp),
        tables.text(comparison.message),
        tables.text(comparison.explanation),
        [row.id for row in comparison.known] or 0,
        _short(comparison.response),
        _over_time(comparison),
    ]
    while not values[-1] and values[-1] is not None:
        values.pop()
    return values


def _over_time(comparison: Comparison) -> list[Any] | int:
    """Return the error over the timesteps, `[timesteps, share, ...]`; 0 where it is unknown."""
    curve = None if comparison.mismatch is None else comparison.mismatch.over_time
    return 0 if curve is None else [curve.timesteps, *(_short(share, DIGITS_OF_SUM) for share in curve.shares)]


def _short(number: float | None, digits: int = DIGITS) -> float | int | None:
    """Return a number with few digits; None for a missing or infinite one."""
    if number is None or number in (float("inf"), float("-inf")) or number != number:
        return None
    short = float(f"{number:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value
