"""`python -m multilstm` finds its modules where the command `multilstm` finds them."""

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
