"""The message of a failed assertion: values, counts and distances in numpy.testing's order, then place and command."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Iterator, Sequence

from multilstm.compare import Comparison, Mismatch
from multilstm.errors import shown
from multilstm.report.cells import Cell
from multilstm.report.command import repeating_command
from multilstm.report.report import Report
from multilstm.report.text import counted
from multilstm.report.words import of_engine, printable

__all__ = ["failure_message"]

WIDTH = 72  # pytest begins each line with eight characters
OTHERS_SHOWN = 4
LINES_SHOWN = 20  # of an error, whose traceback may be long, or of an explanation


def failure_message(report: Report) -> str:
    """Return the reason why a report is no success, in lines of 72 columns; empty if it is one.

    An engine that was named and executed nothing is no success.
    """
    if report.failures:
        lines = _differences(report)
    elif report.idle_named or not report.agrees:
        lines = _nothing_compared(report, report.idle_named)
    else:
        return ""
    return printable("\n".join(lines))


def _nothing_compared(report: Report, idle: Sequence[str]) -> Iterator[str]:
    """Yield the lines on a report without a comparison, or on named engines without one."""
    yield f"nothing was compared on {', '.join(idle)}" if idle else "nothing was compared"
    yield ""
    reasons = {cell.engine: cell.comparison.message for cell in report.cells if cell.engine in report.idle}
    for engine, reason in reasons.items():
        yield from _wrapped(of_engine(engine, reason))
    yield from _command(report, ())


def _differences(report: Report) -> Iterator[str]:
    """Yield the lines on the first difference, the names of the others, and the command."""
    cells = report.failure_groups[0]
    first, comparison = cells[0], cells[0].comparison
    number = len(report.failures)
    engines = dict.fromkeys(cell.engine for cell in report.failures)
    judged = sum(cell.engine in engines and cell.verdict != "unsupported" for cell in report.cells)
    quantities = counted(judged, "quantity", "quantities")
    yield f"{', '.join(engines)}: {number:,} of {quantities} {'differs' if number == 1 else 'differ'}"
    yield ""
    yield from _wrapped(f"{comparison.quantity} of {shown(first.case)} on {first.engine} in {first.dtype}")
    if comparison.mismatch is None:
        lines = (comparison.message or comparison.verdict).splitlines()
        yield from _clipped([part for line in lines for part in _wrapped(line, "  ") or [""]])
    else:
        yield from _values(first, comparison, comparison.mismatch, report.judge)
    if comparison.explanation:
        yield ""
        yield "First divergence:"
        yield from _clipped(_wrapped(comparison.explanation, "  "))
    yield from _other_groups(report)
    yield from _command(report, cells)


def _values(cell: Cell, comparison: Comparison, mismatch: Mismatch, judge: str) -> Iterator[str]:
    """Yield both values at the worst place, the number of wrong values, and the distances."""
    digits = ".17g" if cell.dtype == "float64" else ".9g"
    batch = f" of batch {mismatch.batch}" if mismatch.batch else ""
    actual, desired = f"{mismatch.actual:{digits}}", f"{mismatch.desired:{digits}}"
    width = max(len(actual), len(desired))
    yield f" ACTUAL:  {actual:{width}}  {cell.engine}, at {list(mismatch.place)}{batch}"
    yield f" DESIRED: {desired:{width}}  {judge}"
    percent = 100 * mismatch.outside / mismatch.size
    yield f"Mismatched elements: {mismatch.outside} / {mismatch.size} ({percent:.3g}%)"
    yield f"Max absolute difference: {comparison.max_abs:.6g}"
    if mismatch.max_rel is not None:
        yield f"Max relative difference: {mismatch.max_rel:.6g}"
    yield f"All differences: mean {mismatch.mean_abs:.3g}, median {mismatch.median_abs:.3g}"
    yield from _wrapped(f"Tolerance: {comparison.tolerance}")


def _other_groups(report: Report) -> Iterator[str]:
    """Yield the names of the other quantities that differ."""
    groups = report.failure_groups
    if len(groups) > 1 or len(groups[0]) > 1:
        yield ""
        yield "Other differences:"
    rest = ([groups[0][1:]] if len(groups[0]) > 1 else []) + list(groups[1:])
    for cells in rest[:OTHERS_SHOWN]:
        names = ", ".join(dict.fromkeys(str(cell.quantity) for cell in cells))
        yield from _wrapped(f"{cells[0].engine} {cells[0].dtype}: {names}", "  ")
    if len(rest) > OTHERS_SHOWN:
        left = sum(map(len, rest[OTHERS_SHOWN:]))
        yield f"  and {counted(left, 'more quantity', 'more quantities')}"


def _command(report: Report, cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the commands that repeat the comparison: that of pytest in a test, and that of multilstm for a file."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    commands = [f"pytest {shlex.quote(test)}"] if test else []
    commands += [repeating_command(report, cells)] if cells else []
    if any(commands):
        yield ""
        yield "Repeat with:"
        yield from (f"  {command}" for command in commands if command)


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Return a text as lines, without a break inside a word."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _clipped(lines: list[str]) -> list[str]:
    """Return lines, the first and last ones of many."""
    if len(lines) <= LINES_SHOWN:
        return lines
    half = LINES_SHOWN // 2
    return [*lines[:half], f"  ... {len(lines) - 2 * half} lines ...", *lines[-half:]]
