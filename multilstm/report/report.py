"""The report that a user holds: its data, its verdict in words, and its files."""

from __future__ import annotations

import functools

from multilstm.errors import ParityError
from multilstm.report.data import ReportData
from multilstm.report.html import to_html
from multilstm.report.junit import to_junit
from multilstm.report.markdown import to_markdown
from multilstm.report.records import json_lines
from multilstm.report.sentences import sentences_of
from multilstm.report.terminal import to_text
from multilstm.report.text import counted

FAILURES_IN_ERROR = 20


class Report(ReportData):
    """The outcome of a run. `print(report)` shows it as the command line does.

    Its data are the attributes of `ReportData`.
    """

    def __repr__(self) -> str:
        return f"<Report of {counted(len(self.cells), 'quantity', 'quantities')}: {self.sentence}>"

    def __bool__(self) -> bool:
        raise TypeError("a report is neither true nor false: call check(), which raises, or read agrees")

    def __str__(self) -> str:
        return to_text(self)

    @functools.cached_property
    def sentence(self) -> str:
        """The verdict on the whole run, in a few sentences; the first one names the worst."""
        return " ".join(self.sentences)

    @functools.cached_property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of `sentence`, one by one."""
        return sentences_of(self)

    def check(self) -> None:
        """Return if everything that was compared agrees, or if the ledger explains every difference.

        Raises:
            ParityError: if a quantity does not agree, nothing was compared, or an engine that the user named executed
                nothing. The message lists engine, case, dtype and quantity of each failure, with the worst place and
                both values.
        """
        if self.agrees and not self.idle_named:
            return
        if not self.failures:
            raise ParityError(self.sentence)
        lines = [
            f"{cell.engine} {cell.case} {cell.dtype} {cell.layers}: {cell.comparison.message or cell.verdict}"
            + (f" ({cell.comparison.explanation})" if cell.comparison.explanation else "")
            for cell in self.failures
        ]
        more = len(lines) - FAILURES_IN_ERROR
        first = lines[:FAILURES_IN_ERROR] + ([f"... and {more} more"] if more > 0 else [])
        raise ParityError(f"{len(lines)} of {len(self.cells)} quantities do not agree:\n  " + "\n  ".join(first))

    def to_json(self) -> str:
        """Return the report as JSON lines; infinite distances are written as null."""
        return "\n".join(json_lines(self))

    def to_html(self) -> str:
        """Return the report as a page: one file that needs no network."""
        return to_html({"": self})

    def to_junit(self) -> str:
        """Return the report as JUnit XML, one test case for each cell."""
        return to_junit({"": self})

    def to_markdown(self) -> str:
        """Return a summary of the report in GitHub's Markdown."""
        return to_markdown({"": self})
