"""The linters are tests, so that one command checks everything."""

import collections
import pathlib
import subprocess
import sys

import prose
import pytest

ROOT = pathlib.Path(__file__).parent.parent
# Breaches of the rule for prose that a folder may still have (CONTRIBUTING, "Prose"). A count may only become smaller.
PROSE = {
    "multilstm": 2, "multilstm/cli": 3, "multilstm/engines": 44, "multilstm/frameworks": 35,
    "multilstm/fuzz": 15, "multilstm/keras_layers": 18, "multilstm/ledger": 13, "multilstm/workers": 6,
    "tests/engines": 15, "tests/execution": 1, "tests/frameworks": 7, "tests/fuzz": 1,
    "tests/helpers": 2, "tests/keras_layers": 10, "tests/report": 1, "tests/workers": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=["ruff", "format", "mypy"]
)
def test_clean(command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def folder_of(path):
    """`multilstm/spec` of multilstm/spec/graph.py, `README.md` of itself: at most two folders deep."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[: min(2, len(parts) - 1)] if parts[0] in ("multilstm", "tests") else parts[:1])


def test_prose_follows_its_rule():
    found = collections.defaultdict(list)
    for path in prose.files([]):
        found[folder_of(path)] += map(str, prose.breaches(path))
    beyond = {folder: lines for folder, lines in found.items() if len(lines) > PROSE.get(folder, 0)}
    assert beyond == {}, "\n".join(
        f"{folder}: {len(lines)} breaches:\n" + "\n".join(lines) for folder, lines in beyond.items()
    )
