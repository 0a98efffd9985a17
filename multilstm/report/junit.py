"""The report as JUnit XML, which CI servers show as tests: one test case for each cell.

Texts are printable, since XML has no place for control characters, and the library escapes them.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence

from multilstm.errors import EngineUnavailableError
from multilstm.report.cells import Cell
from multilstm.report.command import repeating_command
from multilstm.report.data import ReportData
from multilstm.report.sentences import sentence_of
from multilstm.report.words import MEANING, printable

__all__ = ["to_junit"]

ELEMENTS = {"diverges": "failure", "error": "error", "unsupported": "skipped"}


def to_junit(reports: Mapping[str, ReportData]) -> str:
    """Return JUnit XML: a suite for each engine, device, dtype and layers, and one on the runs themselves.

    A quantity that diverges is a failure. One that an engine does not execute is skipped. A known difference passes,
    with its rows of the ledger as output. A run in which nothing was compared is an error.

    Args:
        reports: the reports, by the name that begins the suites of each where there are several.
    """
    root = ET.Element("testsuites", name="multilstm")
    for name, report in reports.items():
        prefix = (name,) if len(reports) > 1 else ()
        root.append(_suite((*prefix, "run"), list(_run_tests(report)), report))
        for job, cells in _by_job(report).items():
            tests = [_test(cell, seconds, report) for cell, seconds in _timed(cells)]
            root.append(_suite((*prefix, *job), tests, report))
    _count(root, list(root.iter("testcase")))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode")


def _suite(names: Sequence[str], tests: Sequence[ET.Element], report: ReportData) -> ET.Element:
    """Return a suite; the class of each test case begins with the names of the suite, so that it is unique."""
    suite = ET.Element("testsuite", name=printable(" ".join(names)))
    _count(suite, tests)
    properties = ET.SubElement(suite, "properties")
    for name in ("multilstm", "python", "machine"):
        if isinstance(value := report.environment.get(name), str):
            ET.SubElement(properties, "property", name=name, value=printable(value))
    for test in tests:
        test.set("classname", printable(".".join((*names, *filter(None, [test.get("classname")])))))
    suite.extend(tests)
    return suite


def _count(element: ET.Element, tests: Sequence[ET.Element]) -> None:
    """Write the numbers of tests and their seconds."""
    element.set("tests", str(len(tests)))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(test.find(kind) is not None for test in tests)))
    element.set("time", f"{sum(float(test.get('time', 0)) for test in tests):.3f}")


def _run_tests(report: ReportData) -> Iterator[ET.Element]:
    """Yield a test case for the verdict, and a skipped one for each engine that was skipped and each remark."""
    verdict = ET.Element("testcase", name="verdict")
    if report.exit_code() == EngineUnavailableError.exit_code:
        ET.SubElement(verdict, "error", type="nothing compared", message=printable(sentence_of(report)))
    ET.SubElement(verdict, "system-out").text = printable(sentence_of(report))
    yield verdict
    remarks = {f"remark {number}": remark for number, remark in enumerate(report.remarks, 1)}
    for name, reason in {**report.skipped, **remarks}.items():
        test = ET.Element("testcase", name=printable(name))
        ET.SubElement(test, "skipped", message=printable(reason))
        yield test


def _by_job(report: ReportData) -> dict[tuple[str, str, str, str], list[Cell]]:
    jobs: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in report.cells:
        jobs.setdefault((cell.engine, cell.device, cell.dtype, cell.layers), []).append(cell)
    return jobs


def _timed(cells: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
    """Yield cells with seconds; those of a job are given to its first cell alone, so that their sum is right."""
    for (_, seconds), of_job in itertools.groupby(cells, key=lambda cell: (cell.case, cell.seconds)):
        for number, cell in enumerate(of_job):
            yield cell, seconds if number == 0 else 0.0


def _test(cell: Cell, seconds: float, report: ReportData) -> ET.Element:
    """Return the test case of a cell."""
    test = ET.Element("testcase", classname=cell.case, name=printable(str(cell.quantity)), time=f"{seconds:.3f}")
    comparison = cell.comparison
    kind = ELEMENTS.get(cell.verdict)
    if kind is not None:
        outcome = ET.SubElement(test, kind, type=cell.verdict, message=printable(comparison.message))
        command = repeating_command(report, [cell])
        lines = [comparison.message, comparison.explanation, f"repeat: {command}" if command else ""]
        outcome.text = printable("\n".join(filter(None, lines)))
    else:
        rows = [f"{row.id}: {row.title}" for row in comparison.known]
        distance = "" if comparison.max_abs is None else f", largest distance {comparison.max_abs:.3g}"
        lines = [f"{cell.verdict}: {MEANING[cell.verdict]}{distance}", *rows]
        ET.SubElement(test, "system-out").text = printable("\n".join(lines))
    return test
