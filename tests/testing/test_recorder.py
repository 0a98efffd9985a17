"""`--multilstm-report`: one file of all tests, also under xdist."""

import json
import os
import sys
import xml.etree.ElementTree as ET

import pytest
import small_reports

from multilstm.report.reading import read_report
from multilstm.testing.recorder import joined

TESTS = """
WRONG = np.full((2, 2), 7.0, "float32")

def test_right(multilstm_parity): multilstm_parity(SPEC, X, dtype="float64")

def test_plain_function(): assert_parity(SPEC, X, engines=["reference"], dtype="float32")

@pytest.fixture
def judged(): return assert_parity(SPEC, X, engines=["reference"], dtype="float32")

def test_in_a_fixture(judged): assert_parity(SPEC, X, against=WRONG, dtype="float32")

def test_without(): pass
"""
REFERENCE = ("--multilstm-engine", "reference")
CASES = [
    "test_user.py::test_in_a_fixture #2 mine",
    "test_user.py::test_in_a_fixture mine",
    "test_user.py::test_plain_function mine",
    "test_user.py::test_right mine",
]


@pytest.mark.parametrize("processes", [0, 2], ids=["one_process", "xdist"])
def test_the_reports_of_all_tests_are_one_report(suite, pytester, monkeypatch, processes):
    if processes:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, filter(None, sys.path))))
    result = suite(TESTS, *REFERENCE, "--multilstm-report", "out.json", *(["-n", str(processes)] if processes else []))
    result.assert_outcomes(passed=3, failed=1)
    report = read_report(str(pytester.path / "out.json"))
    assert sorted({cell.case for cell in report.cells}) == CASES
    assert [(cell.case, cell.engine) for cell in report.failures] == [(CASES[0], "recorded")]
    result.stdout.fnmatch_lines(["*out.json: Different answers: recorded (1 quantity). *"])


def test_the_joined_report_keeps_the_sentences_of_each_test():
    """Else a page would be green for a test whose Masking never acted, or whose run did not end."""
    silent = {
        "without_recurrent": ("seed1-a",),
        "idle_masks": ("mask",),
        "idle_limits": ("relu",),
        "remarks": ("The run did not end.",),
    }
    first = small_reports.report(small_reports.cell("seed1-a"))
    second = small_reports.report(small_reports.cell("seed1-a"), without_judge=("layer",), judge="each other", **silent)
    report = joined({"test_1": first, "test_2": second})
    assert (report.idle_masks, report.idle_limits, report.without_judge) == (("mask",), ("relu",), ("layer",))
    assert report.without_recurrent == ("test_2 seed1-a",)
    assert report.remarks == ("test_2: The run did not end.",)
    assert report.judge == f"{first.judge} and each other"


def test_the_suffix_chooses_the_format(suite, pytester):
    test = "def test_right(multilstm_parity): multilstm_parity(SPEC, X, dtype='float64')\n"
    texts = {}
    for suffix in ("html", "xml", "md"):
        suite(test, *REFERENCE, ini=f"multilstm_report = out.{suffix}").assert_outcomes(passed=1)
        texts[suffix] = (pytester.path / f"out.{suffix}").read_text(encoding="utf-8")
    assert texts["html"].startswith("<!doctype html>")
    assert texts["md"].startswith("## Same answers on reference: ")
    classes = {test.get("classname") for test in ET.fromstring(texts["xml"]).iter("testcase")}
    assert classes == {"run", "reference.cpu.float64.portable.test_user.py::test_right mine"}


def test_without_an_assertion_no_report_is_written(suite, pytester):
    result = suite("def test_without(): pass\n", "--multilstm-report", "out.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["no report: no test called assert_parity"])
    assert not (pytester.path / "out.json").exists()


def test_a_report_that_cannot_be_written_at_the_end_is_an_error(suite, pytester):
    body = "    multilstm_parity(SPEC, X, dtype='float64'); os.mkdir('out.json')\n"
    result = suite(f"import os\ndef test_it(multilstm_parity):\n{body}", *REFERENCE, "--multilstm-report", "out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["cannot write '*out.json': it is a folder*"])


def test_the_command_line_reads_the_report(suite, pytester):
    from multilstm.cli.app import app

    suite(TESTS, *REFERENCE, "--multilstm-report", "out.json", "-k", "right")
    assert app(["report", "out.json", "--html", "out.html"], exit_on_error=False, result_action="return_value") == 0
    assert json.loads((pytester.path / "out.json").read_text().splitlines()[0])["schema"] == 3
