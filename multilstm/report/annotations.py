"""The failures of a report as annotations of GitHub Actions: commands that a step prints, one a line.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterator

from multilstm.report.data import ReportData
from multilstm.report.sentences import sentence_of
from multilstm.report.text import counted
from multilstm.report.words import printable

__all__ = ["annotation_lines"]

SHOWN = 10  # GitHub shows no more errors of one step


def annotation_lines(report: ReportData) -> Iterator[str]:
    """Yield one `::error` line for each group of failures, at most 10, or one line if nothing was compared.

    Remarks, such as that on a run that was killed, are `::warning` lines before them.

    The file of an annotation is the model, where the model is a file.
    """
    model = None if report.arguments is None else report.arguments.model
    of_file = {"file": model} if model is not None and ":" not in model else {}
    for remark in report.remarks:
        yield _command("warning", remark, {**of_file, "title": "multilstm: remark"})
    if not report.agrees and not report.failures:
        yield _command("error", sentence_of(report), {**of_file, "title": "multilstm: nothing was compared"})
    groups = report.failure_groups
    for cells in groups[:SHOWN]:
        cell, others = cells[0], len(cells) - 1
        lines = [cell.comparison.message or cell.verdict, cell.comparison.explanation]
        lines += [f"and {counted(others, 'more quantity', 'more quantities')}"] if others else []
        title = f"multilstm: {cell.engine} {cell.verdict} in {cell.case} {cell.dtype}"
        yield _command("error", "\n".join(filter(None, lines)), {**of_file, "title": title})


def _command(name: str, message: str, properties: dict[str, str]) -> str:
    """Return one command; a text from a file cannot end it, nor begin another."""
    fields = ",".join(f"{key}={_escaped(printable(value), ':,')}" for key, value in properties.items())
    return f"::{name} {fields}::{_escaped(printable(message))}"


def _escaped(text: str, also: str = "") -> str:
    """Return a text in which `%`, line feeds and some other characters are percent-encoded."""
    return "".join(f"%{ord(char):02X}" if char in f"%\n{also}" else char for char in text)
