"""`python -m multilstm.bench.length`: its results and its errors."""

import json

import pytest

from multilstm.bench import length
from multilstm.bench.results import FORMAT
from multilstm.engines.registry import ENGINES
from multilstm.errors import UsageError

pytestmark = pytest.mark.skipif(bool(ENGINES["jax-scan"].missing), reason="jax is not installed")


def run(*arguments):
    length.app(arguments, exit_on_error=False, result_action="return_value")


def test_every_row_names_its_kernel(tmp_path, capsys):
    run("--timesteps", "20", "600", "--rounds", "1", "--json", str(tmp_path / "r.json"))
    data = json.loads((tmp_path / "r.json").read_text())
    assert (data["format"], data["benchmark"], data["device"]) == (FORMAT, "length", "cpu")
    assert data["method"]["rounds"] == 1
    cases = [(row["timesteps"], row["checkpoint"]) for row in data["rows"]]
    assert cases == [(20, False), (20, True), (600, False), (600, True)]
    assert {row["implementation"] for row in data["rows"]} == {"XLA's loop"}
    assert all(row["seconds"] > 0 for row in data["rows"])
    assert "computed by XLA's loop" in capsys.readouterr().out.splitlines()


def test_without_a_gpu_it_is_an_error_in_one_line(refused, tmp_path):
    message = refused(run, "--timesteps", "20", "--rounds", "1", "--device", "gpu", "--json", str(tmp_path / "r.json"))
    assert "no GPU: JAX" in message
    assert "\n" not in message
    assert not (tmp_path / "r.json").exists()


def test_lengths_and_rounds_begin_with_one():
    with pytest.raises(UsageError, match="--rounds must be at least 1, given 0"):
        run("--timesteps", "5", "--rounds", "0")
    with pytest.raises(UsageError, match="--timesteps must be at least 1, given 0"):
        run("--timesteps", "5", "0")
