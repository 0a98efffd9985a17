"""parity/field.py: one row for each file of a folder, with the verdict or the refusal."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MADE = ROOT / "tests" / "files" / "made"


def field(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, str(ROOT / "parity" / "field.py"), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def folder(tmp_path):
    for name in ("keras-3.15.1.keras", "keras-3.15.1.weights.h5", "keras-3.15.1.json", "torch-2.13.0.pt"):
        shutil.copy(MADE / name, tmp_path)
    (tmp_path / "page|[bold]\x1b[31m.h5").write_bytes(b"<html>")
    (tmp_path / "subfolder").mkdir()
    return tmp_path


def rows(text):
    cells = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return {row[0]: row[1:] for row in cells[2:]}


def test_compares_each_model_of_a_folder(folder):
    done = field(folder, "--engine", "reference", "--table", folder / "table.md")
    assert done.returncode == 0, done.stderr
    table = rows((folder / "table.md").read_text())
    assert len(table) == 5
    origin, layers, weights, verdict = table["keras-3.15.1.keras"]
    assert origin == "Keras archive (.keras); Keras 3.15.1"
    assert layers == "3 LSTM, Bidirectional, Dense"
    assert weights == "yes"
    assert verdict.startswith("Same answers")
    assert table["keras-3.15.1.weights.h5"][2] == "yes, of keras-3.15.1.json"


def test_states_refusals_without_a_comparison(folder):
    done = field(folder, "--read-only")
    assert done.returncode == 0, done.stderr
    table = rows(done.stdout)
    assert table["keras-3.15.1.json"][-2:] == ["no", "read"]
    assert table["torch-2.13.0.pt"][-1].startswith("refused: 'torch-2.13.0.pt' holds weights alone")
    assert "a web page" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_refuses_a_folder_that_does_not_exist(tmp_path):
    done = field(tmp_path / "nothing")
    assert done.returncode == 2
    assert "give a folder of model files" in done.stderr
