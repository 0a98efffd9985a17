"""docs/reference/checks.md: every file that it names exists."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ROWS = [
    line.split("|")[2] for line in (ROOT / "docs/reference/checks.md").read_text().splitlines() if line.count("|") == 4
]
PLACES = [row for row in ROWS if "/" in row]


@pytest.mark.parametrize("row", PLACES, ids=str.strip)
def test_every_file_exists(row):
    folder = None
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
        path = ROOT / name if "/" in name else folder / name
        assert path.exists(), name
        folder = path.parent


def test_the_table_names_files():
    assert len(PLACES) > 30
