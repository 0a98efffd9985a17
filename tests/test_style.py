"""The linters are tests, so that one command checks everything."""

import pathlib
import subprocess
import sys

import prose
import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=["ruff", "format", "mypy"]
)
def test_clean(command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prose_follows_its_rule():
    breaches = [str(breach) for path in prose.files([]) for breach in prose.breaches(path)]
    assert breaches == [], "\n".join(breaches)


def test_what_is_rare():
    count, words = prose.frequency_of_what(prose.files([]))
    assert 1000 * count < words, f"'what' {count} times in {words} words of docstrings and comments: name the thing"
