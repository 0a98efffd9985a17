"""The report as a summary in GitHub's Markdown, for the page of a CI run or a comment.

Texts from files are data: they make no link, image, mention, heading or HTML. Names are code spans, messages stand in
fenced blocks, and the sentences of the verdict are escaped character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from multilstm.compare import VERDICTS
from multilstm.report.cells import Cell
from multilstm.report.command import repeating_command, run_command
from multilstm.report.data import ReportData
from multilstm.report.page_data import known_rows
from multilstm.report.sentences import sentences_of
from multilstm.report.text import counted
from multilstm.report.words import MEANING, printable

__all__ = ["to_markdown"]

FAILURES_SHOWN = 12
MESSAGE_LIMIT = 1000  # characters; GitHub cuts summaries off at 1 MiB


def to_markdown(reports: Mapping[str, ReportData]) -> str:
    """Return a summary: verdict, quantities by engine and verdict, differences, and the command that repeats the run.

    Args:
        reports: the reports, by the name that is the heading of each where there are several.
    """
    parts = [part for name, report in reports.items() for part in _report(name if len(reports) > 1 else "", report)]
    return "\n\n".join(parts)


def _report(name: str, report: ReportData) -> Iterator[str]:
    """Yield the paragraphs, tables and blocks of one report."""
    first, *others = sentences_of(report)
    yield f"## {_code(name) + ': ' if name else ''}{_plain(first)}"
    if others:
        yield _plain(" ".join(others))
    yield from (f"> {_plain(remark)}" for remark in report.remarks)
    if report.cells:
        yield "\n".join(_table(report))
    if report.failures:
        yield "### Differences"
        yield from _failures(report)
    known = known_rows(report)
    if known:
        yield "### Known differences"
        yield "\n".join(f"- {_code(row)}: {_plain(str(texts['title']))}" for row, texts in known.items())
    if report.skipped:
        yield "### Skipped engines"
        yield "\n".join(f"- {_code(engine)}: {_plain(reason)}" for engine, reason in report.skipped.items())
    command = run_command(report)
    if command:
        yield f"Repeat the run with:\n\n{_block(command, 'sh')}"


def _table(report: ReportData) -> Iterator[str]:
    """Yield the table of the number of quantities by engine and verdict, with the meaning of each verdict."""
    verdicts = [verdict for verdict in VERDICTS if report.counts[verdict]]
    yield "| quantities | " + " | ".join(verdicts) + " |"
    yield "| :--- |" + " ---: |" * len(verdicts)
    for engine, counts in report.counts_by_engine.items():
        numbers = (f"{counts[verdict]:,}" if counts[verdict] else "" for verdict in verdicts)
        yield f"| {_code(engine)} | " + " | ".join(numbers) + " |"
    meanings = "; ".join(f"{verdict}: {MEANING[verdict]}" for verdict in verdicts)
    yield f"\n<sub>{meanings}.</sub>"


def _failures(report: ReportData) -> Iterator[str]:
    """Yield a block for each group of failures, the first ones alone."""
    groups = report.failure_groups
    for cells in groups[:FAILURES_SHOWN]:
        yield _block("\n".join(_failure(report, cells)))
    left = len(groups) - FAILURES_SHOWN
    if left > 0:
        yield f"{counted(left, 'more difference')}: the report as data has all of them."


def _failure(report: ReportData, cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lines on failures of one engine, case and dtype: the message, its explanation, and the command."""
    cell, others = cells[0], len(cells) - 1
    more = f", with {counted(others, 'more quantity', 'more quantities')}" if others else ""
    yield f"{cell.engine} {cell.case} {cell.dtype}{more}:"
    yield _shortened(cell.comparison.message or cell.verdict)
    if cell.comparison.explanation:
        yield _shortened(cell.comparison.explanation)
    command = repeating_command(report, cells)
    if command:
        yield f"repeat: {command}"


def _shortened(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]}..."


def _plain(text: str) -> str:
    """Return a sentence as text that has no meaning in Markdown or HTML; neither a mention nor an address."""
    line = printable(text).replace("\n", " ")
    return re.sub(r"[^\w\s.:,;()'-]|(?<![^\W_])_|_(?![^\W_])|(?<=www)\.", _entity, line).replace(
        "&#64;", "&#64;<!-- -->"
    )


def _code(text: str) -> str:
    """Return a name as code, also in a cell of a table."""
    line = printable(text).replace("\n", "\\n")
    if line and line == line.strip() and not set(line) & set("`|\\"):
        return f"`{line}`"
    return f"<code>{re.sub(r'[^a-zA-Z0-9 ]', _entity, line)}</code>"


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"


def _block(text: str, language: str = "text") -> str:
    """Return lines in a fenced block, whose fence is longer than any in the text."""
    lines = printable(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", lines)), default=0))
    return f"{fence}{language}\n{lines}\n{fence}"
