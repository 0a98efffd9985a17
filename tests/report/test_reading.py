import json

import pages
import pytest

from multilstm.compare import Mismatch
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
    report = pages.report(
        *pages.every_verdict().cells,
        pages.cell("seed2-b", verdict="diverges", mismatch=Mismatch(3, 9, (0, 2), 1.5, 1.0, 0.5, 0.2, 0.1, 1)),
        skipped={"torch-lstm": "no torch"},
        shortened={"seed1-a": "half"},
        named=("keras-jax",),
        without_recurrent=("seed1-a",),
        idle_masks=("mask",),
        judge="the recorded answers",
        inputs="the given arrays",
        arguments=Arguments(model="m.keras", batch=2),
        ledger={pages.ROW["id"]: pages.ROW},
        touches=({**pages.ROW, "engines": ["keras-jax"], "layers": ["lstm"], "certain": True},),
        seconds=3.5,
    )
    again = read_report(written(report.to_json()))
    assert again == report
    assert again.sentence == report.sentence
    assert again.to_json() == report.to_json()


def test_a_mismatch_that_is_not_finite_is_read_without_its_numbers(written):
    mismatch = Mismatch(3, 9, (0,), 1e308, -1e308, None, float("inf"), 1.0)
    report = pages.report(pages.cell(verdict="diverges", mismatch=mismatch))
    (cell,) = read_report(written(report.to_json())).cells
    assert (cell.verdict, cell.comparison.mismatch) == ("diverges", None)


def test_a_report_of_before_the_page_is_read(written):
    data = pages.every_verdict().to_dict()
    for name in ("named", "without_recurrent", "idle_masks", "judge", "arguments", "ledger"):
        del data[name]
    for cell in data["cells"]:
        del cell["response"], cell["mismatch"]
    assert len(read_report(written(data)).cells) == 10


def changed(**changes):
    return {**pages.every_verdict().to_dict(), **changes}


def with_cell(**changes):
    data = pages.every_verdict().to_dict()
    data["cells"][0].update(changes)
    return data


REFUSED = {
    "empty": ("", "this is not JSON"),
    "cut": (pages.every_verdict().to_json()[:-200], "this is not JSON"),
    "list": ([1], "this JSON is no report"),
    "model": ({"class_name": "Sequential", "config": {}}, "this JSON is no report"),
    "old_schema": (changed(schema=1), "its schema is 1, expected 2; record the run again"),
    "future_schema": (changed(schema=3), "its schema is 3, expected 2"),
    "text_schema": (changed(schema="</script>"), "its schema is '</script>', expected 2"),
    "unknown_key": (changed(extra=1), "unknown key 'extra'"),
    "cells": (changed(cells={}), "report: cells: given {}; expected a list"),
    "no_quantity": ({**changed(), "cells": [{"case": "x"}]}, "'engine' is missing"),
    "verdict": (with_cell(verdict="perfect"), "unknown verdict 'perfect'"),
    "kind": (with_cell(quantity="taste:lstm"), "unknown kind of quantity 'taste'"),
    "share": (with_cell(share="1"), "share: given '1'; expected a number"),
    "known": (with_cell(known=["row"]), "known[0]: given 'row'; expected an object"),
    "arguments": (changed(arguments={"json": "/etc/passwd"}), "unknown key 'json'"),
    "not_a_number": ('{"schema": 2, "cells": [NaN]}', "NaN"),
    "twice": ('{"schema": 2, "schema": 2, "cells": []}', "twice"),
    "deep": ('{"schema": 2, "cells": ' + "[" * 500 + "]" * 500 + "}", "nested too deeply"),
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


def test_a_missing_file_a_folder_and_bytes_are_refused(tmp_path):
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    for name, fault in (("nothing.json", "No such file"), (".", "cannot read"), ("b.json", "can't decode")):
        with pytest.raises(InputError, match=fault):
            read_report(str(tmp_path / name))
