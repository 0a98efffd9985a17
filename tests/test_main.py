"""`python -m multilstm`, and each module of it, finds its modules where the command `multilstm` finds them."""

import os
import pathlib
import subprocess
import sys

import pytest

from multilstm.spec import LSTM, Sequential

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["numpy", "rich", "cyclopts", "safetensors"])
def test_no_module_of_the_current_folder_is_imported(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')\n")
    (tmp_path / "model.json").write_text(Sequential([LSTM(2)], (None, 3)).to_json())
    done = subprocess.run(
        [sys.executable, "-m", "multilstm", "diff", "model.json", "model.json"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Same model")


def test_a_program_of_another_package_keeps_its_folder(tmp_path):
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__init__.py").write_text("import multilstm\n")
    (tmp_path / "program" / "__main__.py").write_text("import beside\nprint(beside.TEXT)\n")
    (tmp_path / "beside.py").write_text("TEXT = 'beside'\n")
    done = subprocess.run(
        [sys.executable, "-m", "program"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "beside\n"), done.stderr
