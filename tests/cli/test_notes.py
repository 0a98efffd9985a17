"""Notes on a model's file that the spec does not hold: they are named by `diff` and above the source of `summary`."""

import json

import pytest

from multilstm.cli.app import app
from multilstm.spec import LSTM, Sequential

POLICY = "layers of the file compute in mixed_bfloat16"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two models in the current folder, of which one has a dtype policy."""
    monkeypatch.chdir(tmp_path)
    config = json.loads(Sequential([LSTM(2)], input_shape=(None, 3)).to_json())
    (tmp_path / "plain.json").write_text(json.dumps(config))
    config["config"]["layers"][1]["config"]["dtype"] = "mixed_bfloat16"
    (tmp_path / "mixed.json").write_text(json.dumps(config))


def test_a_dtype_policy_of_one_model_is_named_in_the_difference(models, capsys):
    app(["diff", "plain.json", "mixed.json"], result_action="return_value")
    assert f"Second alone: {POLICY}" in " ".join(capsys.readouterr().out.split())
    app(["diff", "mixed.json", "mixed.json"], result_action="return_value")
    assert "alone" not in capsys.readouterr().out


def test_the_code_of_a_model_has_the_notes_on_its_file(models, capsys):
    app(["summary", "mixed.json", "--code"], result_action="return_value")
    source = capsys.readouterr().out
    assert source.startswith(f"# Note: {POLICY}")
    assert "LSTM(2" in source
    compile(source, "mixed.py", "exec")
