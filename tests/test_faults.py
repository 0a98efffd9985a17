"""The faults of parity/faults.toml can be planted: a fault whose text is gone from the source would test nothing."""

import importlib.util
import pathlib
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DATA = tomllib.loads((ROOT / "parity" / "faults.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def mutate():
    specification = importlib.util.spec_from_file_location("mutate", ROOT / "parity" / "mutate.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fault", DATA["fault"], ids=lambda fault: fault["id"])
def test_it_changes_one_place_of_the_source_which_is_still_python(mutate, fault):
    source = (ROOT / fault["file"]).read_text(encoding="utf-8")
    planted = mutate.planted(fault, source)
    assert planted != source
    compile(planted, fault["file"], "exec")
    assert DATA["groups"][fault["group"]]["tests"]


def test_a_text_that_is_gone_is_told(mutate):
    fault = {"id": "gone", "file": "a.py", "before": "gone", "after": "x"}
    with pytest.raises(SystemExit, match="gone: 'gone' stands 0 times"):
        mutate.planted(fault, "here")
