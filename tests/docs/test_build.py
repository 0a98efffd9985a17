"""The documentation builds without a warning."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built documentation."""
    missing = [name for name in ("sphinx", "myst_parser", "furo", "jax", "keras") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(folder)]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_row_of_the_ledger_has_an_anchor(site):
    from multilstm.ledger.rows import ledger

    page = (site / "reference" / "ledger.html").read_text(encoding="utf-8")
    assert [row.id for row in ledger() if f'id="{row.id.replace("_", "-")}"' not in page] == []


def test_the_reference_holds_the_help_and_the_docstrings(site):
    assert "--shrink" in (site / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "multilstm.scan.lstm" in (site / "reference" / "api.html").read_text(encoding="utf-8")
