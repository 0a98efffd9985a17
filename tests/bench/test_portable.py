"""`python -m multilstm.bench.portable`: its table, its results and its errors."""

import json

import pytest

from multilstm.bench import portable
from multilstm.bench.results import FORMAT
from multilstm.engines.registry import ENGINES
from multilstm.errors import EngineUnavailableError, UsageError


def run(*arguments):
    portable.app(arguments, exit_on_error=False, result_action="return_value")


@pytest.mark.skipif(bool(ENGINES["keras-jax"].missing), reason="keras or jax is not installed")
def test_both_layers_are_timed_without_and_with_a_mask(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(portable, "SHAPES", ((2, 4, 3, 2),))
    path = tmp_path / "r.json"
    run("--engine", "keras-jax", "--rounds", "1", "--pause", "0", "--json", str(path))
    data = json.loads(path.read_text())
    assert (data["format"], data["benchmark"]) == (FORMAT, "portable")
    calls = [(row["masked"], row["method"]) for row in data["rows"]]
    assert calls == [(masked, name) for masked in (False, True) for name in ("predict_on_batch", "train_on_batch")]
    assert all(row["seconds"].keys() == {"plain", "portable"} for row in data["rows"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.split()[:2] == ["jax", "2x4x3x2"] for line in lines) == 4


def test_another_engine_is_refused():
    with pytest.raises(UsageError, match="unknown engine 'jax-scan': expected one of keras-tensorflow, "):
        run("--engine", "jax-scan")


def test_an_engine_given_by_name_must_be_installed(monkeypatch):
    monkeypatch.setattr("multilstm.engines.registry.not_installed", lambda modules: tuple(modules))
    with pytest.raises(EngineUnavailableError, match="engine 'keras-torch' needs keras, torch"):
        run("--engine", "keras-torch")
