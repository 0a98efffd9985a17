"""A model of Keras 2 as a file of Keras 3, end to end, with the processes of Keras."""

import importlib.util

import keras2_entries
import numpy as np
import pytest
from old_models import CLIPPED, DENSE, masking, old_file

import multilstm
from multilstm.cli.app import app
from multilstm.compare import AGREES

TOUCHED = {"hard_sigmoid", "mask_per_gate", "masked_loss", "rmsprop_epsilon", "clipnorm", "decay"}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    path = tmp_path_factory.mktemp("old") / "old.h5"
    lstm = keras2_entries.lstm(return_sequences=True, dropout=0.3)
    path.write_bytes(old_file(masking(), lstm, DENSE, optimizer=CLIPPED, version="2.3.1"))
    return path


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("keras", "torch")), reason="keras or torch is not installed"
)
def test_a_model_that_every_change_touches(old, tmp_path):
    migration = multilstm.migrate(old, updates=30)
    assert {change.row.name for change in migration.changes} == TOUCHED
    measured = {change.row.name for change in migration.changes if change.measured}
    assert measured == TOUCHED - {"mask_per_gate"}
    assert migration.file.report.agrees
    assert {comparison.verdict for comparison in migration.file.updates} <= set(AGREES)
    kinds = {comparison.quantity.kind for comparison in migration.file.updates}
    assert kinds == {"weights", "slots"}
    assert migration.needed == (
        "LSTM", "activations.hard_sigmoid_keras2", "RMSpropKeras2", "MeanOverAllTimesteps",
    )  # fmt: skip
    assert any("`import multilstm.keras_layers`" in line for line in migration.lines)
    files = migration.save(tmp_path / "new.keras")
    assert [file.name for file in files] == ["new.keras", "new.proof.json"]
    new, before = multilstm.load(files[0]), multilstm.load(old)
    assert new.spec.layer("a").recurrent_activation == "hard_sigmoid_keras2"
    assert new.spec.layer("a").implementation == 1
    for name, array in before.weights.items():
        np.testing.assert_array_equal(new.weights[name], array)
    assert new.training["optimizer"]["registered_name"] == "multilstm>RMSpropKeras2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either NEW, such as new.keras, or --as-code"),
        (["new.keras", "--as-code"], "give either NEW"),
        (["new.h5"], "expected a name that ends in .keras"),
        (["new.keras", "--updates", "0"], "--updates must be at least 1"),
    ],
    ids=["nothing", "both", "suffix", "updates"],
)
def test_the_command_refuses(old, arguments, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(multilstm.MultilstmError, match=message):
        app(["migrate", str(old), *arguments], result_action="return_value", exit_on_error=False)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_source(old, capsys):
    assert app(["migrate", str(old), "--as-code"], result_action="return_value") == 0
    assert "keras_layers.RMSpropKeras2(" in capsys.readouterr().out
