"""The faults of parity/faults.toml can be planted: each replaces text that occurs once in the source."""

import pathlib
import tomllib

import mutate
import pytest

ROOT = pathlib.Path(__file__).parents[1]
DATA = tomllib.loads((ROOT / "parity" / "faults.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("fault", DATA["fault"], ids=lambda fault: fault["id"])
def test_it_changes_one_place_of_the_source_which_is_still_python(fault):
    source = (ROOT / fault["file"]).read_text(encoding="utf-8")
    planted = mutate.planted(fault, source)
    assert planted != source
    compile(planted, fault["file"], "exec")
    assert DATA["groups"][fault["group"]]["tests"]


def test_a_missing_text_is_an_error():
    fault = {"id": "gone", "file": "a.py", "before": "gone", "after": "x"}
    with pytest.raises(SystemExit, match="gone: 'gone' occurs 0 times"):
        mutate.planted(fault, "here")
