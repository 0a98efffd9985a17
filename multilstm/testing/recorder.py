"""The report of a session: all reports of its tests in one file, also under xdist.

The reports of a test travel as text in pytest's own report of the test. A process of xdist that crashes therefore loses
those of one test alone.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from multilstm.errors import MultilstmError, UsageError, shown
from multilstm.report.files import check_writable, write_text
from multilstm.report.reading import read_report
from multilstm.report.report import Report
from multilstm.testing.assertion import listening

__all__ = ["Recorder", "joined"]

RENDERINGS = {".html": Report.to_html, ".json": Report.to_json, ".xml": Report.to_junit, ".md": Report.to_markdown}
TOGETHER = (
    "named",
    "without_judge",
    "idle_masks",
    "idle_limits",
)  # fields of a report whose items are those of all tests
ATTRIBUTE = "multilstm_reports"  # of pytest's report of a test


class Recorder:
    """A plugin that collects the reports of all tests, and writes them at the end.

    Args:
        path: the file; its suffix is the format.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.outcome = ""
        self._reports: dict[str, Report] = {}
        self._of_phase: list[str] = []
        self._context = listening(lambda report: self._of_phase.append(report.to_json()))

    def check(self) -> None:
        """Refuse another suffix, and a file that cannot be written.

        Raises:
            UsageError: for another suffix.
            InputError: for a path at which no file can be written.
        """
        if pathlib.Path(self.path).suffix not in RENDERINGS:
            raise UsageError(f"--multilstm-report is {shown(self.path)}; expected a file {', '.join(RENDERINGS)}")
        check_writable(self.path)

    def pytest_sessionstart(self) -> None:
        """Begin to listen."""
        self._context.__enter__()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the reports of a phase of a test to pytest's report of the phase."""
        result = yield
        texts, self._of_phase = self._of_phase, []
        if texts:
            setattr(result, ATTRIBUTE, texts)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of a phase of a test, of this process or of one of xdist."""
        for text in getattr(report, ATTRIBUTE, ()):
            number = sum(name.partition(" #")[0] == report.nodeid for name in self._reports)
            name = f"{report.nodeid} #{number + 1}" if number else report.nodeid
            self._reports[name] = _read(text)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file; a failure is shown at the end, with exit code 4."""
        self._context.__exit__(None, None, None)
        if hasattr(session.config, "workerinput"):
            return
        if not self._reports:
            self.outcome = "no report: no test called assert_parity"
            return
        report = joined(self._reports)
        try:
            write_text(self.path, RENDERINGS[pathlib.Path(self.path).suffix](report))
            self.outcome = f"{self.path}: {report.sentence}"
        except MultilstmError as error:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            self.outcome = str(error)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the file and its verdict."""
        terminalreporter.write_sep("-", "multilstm report")
        terminalreporter.write_line(self.outcome)


def joined(reports: Mapping[str, Report]) -> Report:
    """Return one report of the reports of several tests; the name of each case begins with that of its test.

    Options that differ between the tests are left out of the environment.
    """
    first = next(iter(reports.values()))
    options = [dict(report.environment.get("options", {})) for report in reports.values()]
    common = {name: value for name, value in options[0].items() if all(other.get(name) == value for other in options)}
    return Report(
        cells=tuple(
            dataclasses.replace(cell, case=f"{name} {cell.case}")
            for name, report in reports.items()
            for cell in report.cells
        ),
        environment={**first.environment, "options": common},
        skipped={engine: reason for report in reports.values() for engine, reason in report.skipped.items()},
        seconds=sum(report.seconds for report in reports.values()),
        judge=" and ".join(dict.fromkeys(report.judge for report in reports.values())),
        without_recurrent=tuple(
            f"{name} {case}" for name, report in reports.items() for case in report.without_recurrent
        ),
        remarks=tuple(f"{name}: {remark}" for name, report in reports.items() for remark in report.remarks),
        **{name: _all_of(reports, name) for name in TOGETHER},
        ledger={row: texts for report in reports.values() for row, texts in report.ledger.items()},
    )


def _all_of(reports: Mapping[str, Report], name: str) -> Any:
    """Return the items of a field of all reports, each once."""
    return tuple(dict.fromkeys(item for report in reports.values() for item in getattr(report, name)))


def _read(text: str) -> Report:
    """Return the report that `to_json` wrote."""
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        path = pathlib.Path(folder) / "report.json"
        path.write_text(text, encoding="utf-8")
        return read_report(str(path))
