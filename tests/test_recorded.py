"""parity/measure.py: a summary of reports of one run; reports of several runs are refused."""

import pathlib
import subprocess
import sys

import pytest

from multilstm.compare import Comparison, Quantity
from multilstm.jobs.implementation import Implementation
from multilstm.report.cells import Cell
from multilstm.report.report import Report

MEASURE = pathlib.Path(__file__).parents[1] / "parity" / "measure.py"
HERE = {
    "versions": {"keras": "3.15.1", "numpy": "2.4.6"},
    "python": "3.11.7", "platform": "Linux x86_64", "processor": "a processor", "cores": 2,
}  # fmt: skip


def cell(case, verdict="within", share=0.25, dtype="float32", quantity="hidden:lstm", engine="jax-scan"):
    comparison = Comparison(Quantity.parse(quantity), verdict, None if share is None else 3e-7, share, 3, "1e-06")
    return Cell(
        case=case, engine=engine, device="cpu", dtype=dtype, layers="portable", seconds=0.5,
        implementation=Implementation("lax.scan"), comparison=comparison,
    )  # fmt: skip


@pytest.fixture
def measured(tmp_path):
    """Return a function that sums up reports, given by their cells, and returns the exit code and the printed text."""

    def measured(*reports, environments=()):
        paths = []
        for number, cells in enumerate(reports):
            environment = environments[number] if environments else HERE
            path = tmp_path / f"{number}.json"
            path.write_text(Report(tuple(cells), environment, seconds=10.0 + number).to_json(), encoding="utf-8")
            paths.append(path)
        done = subprocess.run(
            [sys.executable, MEASURE, *paths], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return measured


def test_parts_are_one_run(measured):
    first = [cell("one"), cell("one", "unsupported", None, engine="torch-lstm")]
    second = [cell("two", dtype="float64", share=0.5), cell("two", "rounded", 0.01, "float64", "cell:lstm")]
    code, text = measured(first, second)
    assert code == 0, text
    lines = text.splitlines()
    assert lines[:3] == [
        "keras 3.15.1, numpy 2.4.6",
        "Python 3.11.7, Linux x86_64, a processor, 2 cores",
        "21 s (10 + 11)",
    ]
    assert lines[3:6] == [
        "2 cases, 4 quantities",
        "float32: within 1, unsupported 1",
        "float64: rounded 1, within 1",
    ]


def test_a_row_shows_the_quantity_that_used_most_of_it(measured):
    cells = [cell("near", share=0.1), cell("far", share=0.7, engine="keras-jax"), cell("middle", share=0.4)]
    code, text = measured(cells)
    assert code == 0, text
    rows = [line for line in text.splitlines() if line.startswith("float32 ") and "hidden" in line]
    assert len(rows) == 1
    assert "used  70.0%" in rows[0]
    assert rows[0].endswith("keras-jax far hidden:lstm")


def test_refuses_a_case_twice(measured):
    code, text = measured([cell("one")], [cell("one")])
    assert code == 1
    assert "a case is in two of the reports" in text


def test_refuses_different_environments(measured):
    code, text = measured([cell("one")], [cell("two")], environments=(HERE, {**HERE, "cores": 4}))
    assert code == 1
    assert "different environments" in text
