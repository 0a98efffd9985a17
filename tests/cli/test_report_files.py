"""`--html`, and `multilstm report`."""

import json
import xml.etree.ElementTree as ET

import pytest
import small_reports

from multilstm import LSTM, Sequential
from multilstm.cli.app import app
from multilstm.errors import InputError, UsageError
from multilstm.report.reading import read_report
from multilstm.spec import to_json

JOB = ("--case", "seed4-one-feature", "--engine", "reference", "--dtype", "float32", "--quantity", "hidden", "cell")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call `multilstm ...` in an empty folder, and return its exit code."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: app(arguments, exit_on_error=False, result_action="return_value")


@pytest.fixture
def written(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(small_reports.every_verdict().to_json())
    old = small_reports.report(small_reports.cell(), environment={"multilstm": "0.0.1"})
    (tmp_path / "old.json").write_text(old.to_json())
    return tmp_path


def test_parity_writes_its_report_as_data_and_as_a_page(call, tmp_path):
    assert call("parity", *JOB, "--json", "r.json", "--html", "r.html") == 0
    assert call("report", "r.json", "--html", "again.html") == 0
    assert (tmp_path / "r.html").read_text() == (tmp_path / "again.html").read_text()
    _, _, data = small_reports.read_page((tmp_path / "r.html").read_text())
    assert data["runs"][0]["command"] == "multilstm parity"
    assert read_report(str(tmp_path / "r.json")).cells


def test_parity_and_report_name_the_files_that_they_wrote(call, tmp_path, capsys):
    (tmp_path / "m.json").write_text(json.dumps(to_json(Sequential([LSTM(2)], input_shape=(3, 1)))))
    assert call("parity", "m.json", *JOB[2:], "--json", "r.json", "--html", "r.html", "--markdown", "-") == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "Written: r.json, r.html"
    assert "\nModel: m.json\n" in captured.err
    assert "Written" not in captured.out
    assert call("report", "r.json", "--html", "again.html") == 0
    assert capsys.readouterr().out == "Written: again.html\n"
    assert "Model: m.json. 1 case on" in (tmp_path / "again.html").read_text()


def test_parity_and_report_write_the_same_files_for_a_ci_server(call, tmp_path):
    written = ["--junit", "r.xml", "--markdown", "r.md"]
    assert call("parity", *JOB, "--json", "r.json", *written) == 0
    first = {name: (tmp_path / name).read_text() for name in ("r.xml", "r.md")}
    assert call("report", "r.json", *written) == 0
    assert {name: (tmp_path / name).read_text() for name in first} == first
    assert ET.fromstring(first["r.xml"]).get("tests") == "3"
    assert first["r.md"].startswith("## Same answers on reference: 2 quantities")


def test_a_failure_is_an_annotation_if_asked(call, written, capsys):
    assert call("report", "a.json", "--annotations") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Different answers: keras-jax")
    assert [line.partition("::")[2].partition("::")[0] for line in printed if line.startswith("::")] == [
        "error title=multilstm%3A keras-jax diverges in seed2-b float32",
        "error title=multilstm%3A keras-torch error in seed2-b float32",
    ]


def test_the_page_alone_on_standard_output(call, capsys):
    call("parity", *JOB, "--html", "-")
    captured = capsys.readouterr()
    assert captured.out.startswith("<!doctype html>")
    assert captured.out.endswith("</html>\n")
    assert "Same answers on reference" in captured.err


def test_report_prints_as_parity_does_and_does_not_judge(call, written, capsys):
    assert call("report", "a.json") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Different answers: keras-jax (1 quantity). Errors: keras-torch")
    assert "skipped torch-lstm: torch is not installed" in printed


def test_several_reports_are_printed_under_their_names(call, written, capsys):
    assert call("report", "a.json", "b.json") == 0
    printed = capsys.readouterr().out
    assert printed.index("a.json") < printed.index("b.json")
    assert printed.count("Different answers") == 2


REFUSED = {
    "no_report": (["report"], UsageError, "no report is given"),
    "standard_input": (["report", "-"], UsageError, "standard input is given as a report"),
    "twice": (["report", "a.json", "./a.json"], UsageError, "given twice"),
    "over_a_report": (["report", "a.json", "--html", "./a.json"], UsageError, "is the file of a report"),
    "two_versions": (["report", "a.json", "old.json", "--html", "x.html"], InputError, "reports of one version"),
    "missing": (["report", "none.json"], InputError, "No such file"),
    "no_folder": (["report", "a.json", "--html", "none/x.html"], InputError, "cannot write"),
    "page_over_a_model": (
        ["parity", "a.json", "--html", "a.json"],
        UsageError,
        "--html 'a.json' is the file of the model",
    ),
    "page_over_data": (["parity", "--json", "x.json", "--html", "./x.json"], UsageError, "is the file of --json"),
    "both_on_standard_output": (
        ["parity", "--json", "-", "--html", "-"],
        UsageError,
        "--json and --html are all standard output",
    ),
    "three_on_standard_output": (
        ["parity", "--json", "-", "--junit", "-", "--markdown", "-"],
        UsageError,
        "--json and --junit and --markdown are all standard output",
    ),
    "report_both_on_standard_output": (
        ["report", "a.json", "--junit", "-", "--html", "-"],
        UsageError,
        "--html and --junit are all standard output",
    ),
    "summary_over_a_report": (["report", "a.json", "--markdown", "a.json"], UsageError, "is the file of a report"),
    "summary_over_a_page": (
        ["report", "a.json", "--html", "x", "--markdown", "./x"],
        UsageError,
        "--markdown './x' is the file of --html",
    ),
    "one_good_path": (["report", "a.json", "--html", "x", "--junit", "none/x.xml"], InputError, "cannot write"),
    "parity_no_folder": (["parity", "--html", "none/x.html"], InputError, "cannot write"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_path_is_refused_before_anything_is_written(call, written, arguments, error, message):
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    with pytest.raises(error, match=message):
        call(*arguments)
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before
