import dataclasses
import json

import pytest
import small_reports

from multilstm.compare import FAILS, Mismatch
from multilstm.errors import InputError
from multilstm.report.arguments import Arguments
from multilstm.report.reading import read_report


@pytest.fixture
def written(tmp_path):
    """Write a report, or other text, and return its path."""

    def write(content):
        path = tmp_path / "r.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return write


def test_a_report_comes_back_as_it_was(written):
    report = small_reports.report(
        *small_reports.every_verdict().cells,
        small_reports.cell("seed4-d", verdict="diverges", mismatch=Mismatch(3, 9, (0, 2), 1.5, 1.0, 0.5, 0.2, 0.1, 1)),
        small_reports.cell("seed4-d", quantity="output", verdict="diverges", mismatch=small_reports.MISMATCH),
        skipped={"torch-lstm": "no torch"},
        shortened={"seed1-a": "half"},
        named=("keras-jax",),
        without_recurrent=("seed1-a",),
        idle_masks=("mask",),
        idle_limits=("relu",),
        judge="the recorded answers",
        inputs="the given arrays",
        arguments=Arguments(model="m.keras", batch=2),
        ledger={small_reports.ROW["id"]: small_reports.ROW},
        touches=({**small_reports.ROW, "engines": ["keras-jax"], "layers": ["lstm"], "certain": True},),
        cases=("seed1-a", "seed2-b", "seed3-c", "seed4-d"),
        jobs=10,
        seconds=3.5,
    )
    again = read_report(written(report.to_json()))
    assert again == report
    assert again.sentence == report.sentence
    assert again.to_json() == report.to_json()


def test_a_mismatch_that_is_not_finite_is_read_without_its_numbers(written):
    mismatch = Mismatch(3, 9, (0,), 1e308, -1e308, None, float("inf"), 1.0)
    report = small_reports.report(small_reports.cell(verdict="diverges", mismatch=mismatch))
    (cell,) = read_report(written(report.to_json())).cells
    assert (cell.verdict, cell.comparison.mismatch) == ("diverges", None)


def test_a_file_without_the_error_over_timesteps_is_read(written):
    report = small_reports.report(
        small_reports.cell(quantity="output", verdict="diverges", mismatch=small_reports.MISMATCH)
    )
    curve = ', "over_time": {"timesteps": 90, "shares": [0.0, 0.01, 0.5, 20.0, 300000.0, null]}'
    text = report.to_json()
    assert curve in text
    (cell,) = read_report(written(text.replace(curve, ""))).cells
    assert cell.comparison.mismatch == small_reports.MISMATCH._replace(over_time=None)


LINES = small_reports.every_verdict().to_json().splitlines()


def test_a_killed_run_keeps_what_it_has(written):
    report = read_report(written("\n".join(LINES[:3]) + "\n"))
    assert len(report.cells) == sum(len(json.loads(line)["job"]["cells"]) for line in LINES[1:3])
    assert report.remarks == ("The run did not end: it recorded 2 jobs.",)
    assert "The run did not end" in str(report)


def test_a_last_line_that_is_cut_off_is_named_and_left_out(written):
    report = read_report(written("\n".join(LINES[:2]) + "\n" + LINES[2][:50]))
    assert len(report.cells) == 1
    assert report.remarks[1] == "Line 3 is cut off, so it was left out."


def test_jobs_come_back_in_the_order_of_their_cases_and_engines(written):
    report = dataclasses.replace(small_reports.every_verdict(), cases=("seed3-c", "seed2-b", "seed1-a"))
    lines = report.to_json().splitlines()
    cells = read_report(written("\n".join([lines[0], *reversed(lines[1:-1])]))).cells
    assert list(dict.fromkeys(cell.case for cell in cells)) == ["seed3-c", "seed2-b", "seed1-a"]
    assert [cell.engine for cell in cells if cell.case == "seed2-b"] == list(small_reports.ENGINES)


def changed(number, **changes):
    """Return the lines of a report, those of one line changed."""
    lines = [json.loads(line) for line in LINES]
    (content,) = [value for value in lines[number].values() if isinstance(value, dict)]
    content.update(changes)
    return "\n".join(map(json.dumps, lines))


def with_schema(schema):
    return json.dumps({**json.loads(LINES[0]), "schema": schema})


def with_cell(**changes):
    cells = json.loads(LINES[1])["job"]["cells"]
    cells[0].update(changes)
    return changed(1, cells=cells)


def without_cells(number):
    return changed(number, cells=[])


OLD = json.dumps({"schema": 2, "cells": []}, indent=1)
REFUSED = {
    "empty": ("", "this is not JSON"),
    "list": ([1], "this JSON is no report"),
    "model": ({"class_name": "Sequential", "config": {}}, "this JSON is no report"),
    "old_schema": (OLD, "its schema is 2, expected 3; record the run again"),
    "future_schema": (with_schema(4), "its schema is 4, expected 3"),
    "text_schema": (with_schema("</script>"), "its schema is '</script>', expected 3"),
    "no_run": ('{"schema": 3}', "line 1: run: given None; expected an object"),
    "unknown_key": (changed(0, extra=1), "line 1: run: unknown key 'extra'"),
    "broken_before_the_last": ("\n".join([LINES[0], LINES[1][:50], LINES[2]]), "line 2: this is not JSON"),
    "no_job": ("\n".join([LINES[0], "[1]"]), "line 2: given [1]; expected a job"),
    "job_twice": ("\n".join([*LINES[:2], LINES[1]]), "line 3: the job 'keras-jax seed1-a float32' is there twice"),
    "after_the_end": ("\n".join([*LINES, LINES[1]]), "follows the end of the run"),
    "cells": (changed(1, cells={}), "line 2: job: cells: given {}; expected a list"),
    "no_quantity": (changed(1, cells=[{"verdict": "x"}]), "'seconds' is missing"),
    "verdict": (with_cell(verdict="perfect"), "unknown verdict 'perfect'"),
    "verdict_beyond_the_tolerance": (
        with_cell(verdict="within", share=5.0),
        "'hidden:lstm' is 'within' with 5 times the tolerance",
    ),
    "known_without_a_row": (with_cell(verdict="known", known=[]), "expected the row of the ledger that explains it"),
    "quantity_twice": (changed(1, cells=2 * json.loads(LINES[1])["job"]["cells"]), "'hidden:lstm' is there twice"),
    "job_removed": ("\n".join([changed(0, jobs=len(LINES) - 2).splitlines()[0], *LINES[2:]]), "but the file holds"),
    "cell_removed": (without_cells(1), "line 2: its job has 1 quantity, but the file holds 0"),
    "cell_removed_of_several": (
        changed(1, quantities=3),
        "line 2: its job has 3 quantities, but the file holds 1; expected a report",
    ),
    "count_of_cells": (changed(1, quantities="1"), "line 2: job: quantities: given '1'; expected a whole number"),
    "kind": (with_cell(quantity="taste:lstm"), "unknown kind of quantity 'taste'"),
    "share": (with_cell(share="1"), "share: given '1'; expected a number"),
    "known": (with_cell(known=["row"]), "known[0]: given 'row'; expected an object"),
    "arguments": (changed(0, arguments={"json": "/etc/passwd"}), "unknown key 'json'"),
    "not_a_number": ('{"schema": 3, "run": NaN}', "NaN"),
    "twice": ('{"schema": 3, "schema": 3, "run": {}}', "twice"),
    "deep": ('{"schema": 3, "run": ' + "[" * 500 + "]" * 500 + "}", "nested too deeply"),
}


@pytest.mark.parametrize(("content", "fault"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_no_report_is_refused_in_one_line(written, content, fault):
    with pytest.raises(InputError) as error:
        read_report(written(content))
    message = str(error.value)
    assert fault in message
    assert "r.json" in message
    assert "expected a report that `multilstm parity --json` wrote" in message
    assert "\n" not in message
    assert len(message) < 1000


def without_failures(verdict):
    """Return the lines of a report whose failures have another verdict, or none; as older files, without counts."""
    lines = [json.loads(line) for line in LINES]
    for line in lines[1:-1]:
        cells = line["job"]["cells"]
        del line["job"]["quantities"]
        line["job"]["cells"] = [c for c in cells if verdict or c["verdict"] not in FAILS]
        for cell in cells:
            cell["verdict"] = verdict if cell["verdict"] in FAILS else cell["verdict"]
    return "\n".join(map(json.dumps, lines))


@pytest.mark.parametrize("verdict", ["", "unsupported", "unjudged"])
def test_verdicts_that_were_changed_after_the_run_are_remarked(written, verdict):
    report = read_report(written(without_failures(verdict)))
    assert not report.failures
    (remark,) = report.remarks
    assert remark.startswith("The run ended with another verdict: 'Different answers: ")
    assert remark in str(report).replace("\n", " ")


def test_a_missing_file_a_folder_and_bytes_are_refused(tmp_path):
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    for name, fault in (("nothing.json", "No such file"), (".", "cannot read"), ("b.json", "no text in UTF-8")):
        with pytest.raises(InputError, match=fault):
            read_report(str(tmp_path / name))
