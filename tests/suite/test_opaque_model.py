"""A file of the real library with layers that the spec does not describe: loaded, executed, and compared."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

import multilstm
from multilstm.cases.model_case import model_case
from multilstm.errors import InputError, SpecError, UnsupportedError, UsageError
from multilstm.files.keras_facts import KerasFacts
from multilstm.ledger.facts import certain_facts, where
from multilstm.ledger.rows import ledger
from multilstm.spec.keras_json.opaque import Question
from multilstm.suite.difference import compare_models

MADE = pathlib.Path(__file__).parents[1] / "files" / "made"
pytest.importorskip("keras")
pytest.importorskip("jax")


@pytest.fixture(scope="module")
def loaded():
    return multilstm.load(MADE / "keras-3.15.1.opaque.keras")


@pytest.fixture(scope="module")
def recorded():
    with np.load(MADE / "keras-3.15.1.opaque.npz") as arrays:
        return arrays["x"], arrays["y"]


def test_keras_answers_for_shapes_and_weights(loaded):
    shapes = {layer.name: layer.facts.outputs for layer in loaded.spec.opaque}
    assert set(shapes) == {"conv", "attention"}
    assert shapes["conv"] == (((0, 0), None, 4),)  # its timesteps depend on those of the input
    assert loaded.weights["attention/query.kernel"].shape == (4, 2, 3)


def test_weights_of_hdf5_are_those_of_the_archive(loaded):
    other = multilstm.load(MADE / "keras-3.15.1.opaque.h5")
    assert other.spec.layers == loaded.spec.layers
    assert other.weights.keys() == loaded.weights.keys()
    for name, array in loaded.weights.items():
        np.testing.assert_array_equal(other.weights[name], array)


@pytest.mark.usefixtures("kept_workers")
def test_an_engine_gives_the_answer_of_the_library(loaded, recorded):
    x, y = recorded
    result = multilstm.run(loaded, "keras-jax", x, dtype="float64")
    np.testing.assert_allclose(result.output, y, rtol=3e-7, atol=3e-7)


def test_an_attention_in_float64_meets_a_row_of_the_ledger(loaded):
    row = next(row for row in ledger() if row.id == "dot_product_attention_float64")
    assert where(row.when, certain_facts(model_case(loaded.spec, weights=loaded.weights), "float64")) == ("attention",)


@pytest.mark.usefixtures("kept_workers")
def test_the_engines_are_compared_without_a_judge(loaded, recorded):
    pytest.importorskip("torch")
    report = multilstm.parity(loaded, recorded[0], engines=["keras-jax", "keras-torch", "jax-scan", "reference"])
    verdicts = {engine: {cell.verdict for cell in report.cells if cell.engine == engine} for engine in report.engines}
    narrow = {cell.verdict for cell in report.cells if "keras" in cell.engine and cell.dtype == "float32"}
    assert narrow == {"unjudged"}
    # Keras's attention on JAX is `jax.nn.dot_product_attention`, whose softmax is in float32 also for float64.
    wide = {(cell.engine, str(cell.quantity)): cell.comparison.message for cell in report.failures}
    assert wide.keys() == {("keras-jax", "output"), ("keras-torch", "output")}
    assert wide["keras-jax", "output"].startswith("against keras-torch, which is no judge: output: 4 of 4 values")
    assert wide["keras-torch", "output"].startswith("against keras-jax, which is no judge: output: 4 of 4 values")
    assert verdicts["jax-scan"] == verdicts["reference"] == {"unsupported"}
    messages = {cell.comparison.message for cell in report.cells if cell.verdict == "unsupported"}
    assert all("SeparableConv1D 'conv'" in message for message in messages)
    assert "Without a judge, keras-jax, keras-torch agree with each other" in report.sentence
    assert "compared with" not in report.sentence
    assert report.exit_code() == 1
    assert report.judge == "each other, without a judge"
    for text in (str(report), report.to_html(), report.to_markdown(), report.to_json()):
        assert "unjudged" in text
    assert "unjudged: agrees with all other engines, without a judge" in report.to_junit()


def test_the_reference_refuses_it_and_nothing_else_judges_it(loaded, recorded):
    x, y = recorded
    with pytest.raises(UsageError, match=r"reference does not compute SeparableConv1D 'conv'; leave --against out"):
        multilstm.parity(loaded, x, against=y, engines=["reference"])
    with pytest.raises(UnsupportedError, match="SeparableConv1D"):
        multilstm.convert(loaded)
    with pytest.raises(UnsupportedError, match="SeparableConv1D"):
        compare_models(model_case(loaded.spec, weights=loaded.weights), loaded.spec, loaded.weights)


@pytest.mark.parametrize("fault", ["missing", "another shape"])
def test_weights_that_do_not_fit_are_refused(loaded, fault, tmp_path):
    weights = dict(loaded.weights)
    array = weights.pop("attention/key.kernel")
    if fault == "another shape":
        weights["attention/key.kernel"] = array[:-1]
    multilstm.save_weights(tmp_path / "w.safetensors", None, weights)
    spec = dataclasses.replace(loaded, weights=None)
    with pytest.raises(InputError, match="attention"):
        multilstm.load(tmp_path / "w.safetensors", architecture=spec)


def test_arguments_that_keras_refuses_name_the_layer(loaded, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(loaded.spec.to_json().replace('"num_heads": 2', '"num_heads": -2'))
    with pytest.raises(SpecError, match=r"'attention' \(MultiHeadAttention\): Keras refuses the layer"):
        multilstm.load(path)


def test_the_keras_json_of_the_user_is_neither_read_nor_written(tmp_path, monkeypatch):
    """Keras would take the order of the axes from it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    question = Question("Conv3D", {"filters": 2, "kernel_size": 3}, [(None, 8, 9, 10, 4)], False, {})
    with KerasFacts() as keras:
        plain = keras.ask(question)
    folder = tmp_path / ".keras"
    assert not folder.exists()
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps({"image_data_format": "channels_first"}))
    with KerasFacts() as keras:
        assert keras.ask(question) == plain
