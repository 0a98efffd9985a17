"""parity/exporters.py: an exporter of the tests' own environment is audited, and faults of an exporter are seen."""

import csv
import importlib.util
import itertools
import pathlib
import sys

import exporters
import numpy as np
import pytest

RECORDED = pathlib.Path(__file__).parents[1] / "docs" / "recorded" / "exporters.csv"
FILE = exporters.EXPORTERS["multilstm convert"]


@pytest.fixture(scope="module")
def rows():
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    labels = ("lstm", "masked bidirectional")
    return {(row[1], row[2]): row for row in exporters.audited("multilstm convert", labels, sys.executable)}


def test_files_of_multilstm_are_right_with_every_size_and_mask(rows):
    assert [row[3] for row in rows.values()] == ["right", "right at the built size"] * 2
    assert rows["masked bidirectional", "free"][4] == "2 LSTM 0 products"
    assert "16 runs" not in rows["masked bidirectional", "fixed"][6]


def test_wrong_outputs_are_seen():
    desired = {"3x7": (np.zeros((3, 4)),), "3x12": (np.zeros((3, 4)),)}
    answer = {
        "versions": {}, "nodes": {"Loop": 1},
        "runs": {"3x7": {"outputs": [np.zeros((3, 4)).tolist()]}, "3x12": {"outputs": [np.full((3, 4), 0.5).tolist()]}},
    }  # fmt: skip
    assert exporters._judged(answer, desired)[:3] == ("wrong", "1 Loop", "3x12: 5.0e-01")
    answer["runs"]["3x12"] = {"outputs": [np.zeros((3, 5)).tolist()]}
    assert exporters._judged(answer, desired)[2] == "3x12: another shape, or no number"
    answer["runs"]["3x12"] = {"error": "E: static"}
    assert exporters._judged(answer, desired)[0] == "right at the built size"
    answer["runs"]["3x7"] = {"error": "E: static"}
    assert exporters._judged(answer, desired)[0] == "error"


def test_an_exporter_that_crashes_loses_one_model(monkeypatch):
    monkeypatch.setattr(
        exporters, "_started", lambda asked, row, python: ([{"versions": {}}] * (len(asked) > 2), "died")
    )
    answers = exporters._executed([{}, {}, {}], FILE, sys.executable)
    assert [answer.get("refused") for answer in answers] == [None, "died", "died"]


def test_the_recorded_run_has_every_export():
    with RECORDED.open(encoding="utf-8") as file:
        recorded = list(csv.DictReader(file))
    runs = [(row["exporter"], row["model"], row["axes"]) for row in recorded]
    assert runs == list(itertools.product(exporters.EXPORTERS, exporters.MODELS, exporters.AXES))
    own = [row["verdict"] for row in recorded if row["exporter"] == "multilstm convert"]
    assert own == ["right", "right at the built size"] * len(exporters.MODELS)
