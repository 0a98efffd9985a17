"""Models as modules of Equinox, Haiku and TensorFlow 1: the reference's answers, readable source, refusals by name."""

import importlib
import subprocess
import sys

import flax_models
import numpy as np
import pytest
from module_answers import assert_answers_of_the_reference

import multilstm
from multilstm.cases.catalogue import catalogue
from multilstm.cases.model_case import model_case
from multilstm.conversion.equinox.target import EquinoxState, equinox_source
from multilstm.conversion.haiku.target import HaikuState, further_parameters, haiku_source
from multilstm.conversion.scan.target import scan_source
from multilstm.conversion.tf1.target import Tf1State, tf1_source
from multilstm.errors import UnsupportedError
from multilstm.spec import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    LayerNormalization,
    Masking,
    Sequential,
    TimeDistributed,
)
from multilstm.weights import discriminating_weights

SOURCES = {"equinox": equinox_source, "haiku": haiku_source, "tf1": tf1_source}
STATES = {"equinox": EquinoxState, "haiku": HaikuState, "tf1": Tf1State}
ENGINES = {"equinox": "EquinoxModuleEngine", "haiku": "HaikuModuleEngine"}
MODELS = {
    "plain": flax_models.MODELS["plain"],
    "encoder_decoder": flax_models.MODELS["encoder_decoder"],
    "both_states": flax_models.MODELS["both_states"],
    "masks": Sequential(
        [
            *(Masking(-1.0), Bidirectional(LSTM(4, return_sequences=True), "sum"), Dropout(0.0), Dropout(0.0)),
            *(LSTM(3, return_sequences=True, go_backwards=True), LSTM(2, use_bias=False), Dense(2, "gelu")),
        ],
        input_shape=(None, 3),
    ),
    "layers": Sequential(
        [
            *(Embedding(9, 4), Conv1D(4, 3, padding="causal", activation="relu"), LayerNormalization()),
            *(Bidirectional(LSTM(3, return_sequences=True)), TimeDistributed(Dense(2, use_bias=False)), LSTM(2)),
        ],
        input_shape=(None,),
        input_dtype="int32",
    ),
}
TF1 = {"both_states": MODELS["both_states"]}


@pytest.fixture
def float64():
    """JAX with float64, where both libraries are installed."""
    pytest.importorskip("equinox")
    pytest.importorskip("haiku")
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", ENGINES)
def test_a_module_gives_the_answers_of_the_reference(target, name):
    engine = getattr(importlib.import_module(f"multilstm.engines.{target}_module"), ENGINES[target])()
    assert_answers_of_the_reference(engine, model_case(MODELS[name], 2, 5, None))


@pytest.mark.unit
def test_the_sources_of_all_cases_are_formatted_and_have_no_unused_name(tmp_path):
    specs = MODELS | {name: case.spec for name, case in catalogue().items()}
    written = 0
    for target, source in {**SOURCES, "scan": scan_source}.items():
        for spec in specs.values():
            try:
                text = source(spec)
            except UnsupportedError:
                continue
            (tmp_path / f"{target}_{written}.py").write_text(text)
            written += 1
    assert written > 2.4 * len(specs)
    for command in (["format", "--check", "--diff"], ["check", "--select", "E9,F", "--ignore", "F841"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--quiet", "."],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("name", TF1)
def test_a_graph_of_tensorflow_1_gives_the_answers_of_the_reference(name):
    """The process has its own environment: the cells of TensorFlow 1 are chosen by a variable."""
    pytest.importorskip("tf_keras")
    report = multilstm.convert(TF1[name], "tf1").report
    assert report.agrees
    assert {cell.dtype for cell in report.cells} == {"float32", "float64"}
    assert {"gradient", "hidden", "cell", "input_gradient"} <= {cell.comparison.quantity.kind for cell in report.cells}


@pytest.mark.unit
@pytest.mark.parametrize("name", ["plain", "encoder_decoder", "both_states"])
@pytest.mark.parametrize("target", STATES)
def test_weights_return(target, name):
    spec = MODELS[name]
    weights = discriminating_weights(spec)
    state = STATES[target](spec)
    returned = state.to_keras(state.to_target(weights))
    assert list(returned) == list(spec.weight_shapes)
    for key, array in weights.items():
        tolerance = 0 if target == "equinox" else 1e-7  # the others hold the bias of f minus 1
        np.testing.assert_allclose(returned[key], array, rtol=0, atol=tolerance)


@pytest.mark.unit
@pytest.mark.parametrize("target", SOURCES)
@pytest.mark.parametrize("name", ["x'); exec('1", "key", "self", "jax", "unroll", "été\n", "lambda"], ids=range(7))
def test_a_name_enters_the_source_as_a_new_identifier(name, target):
    spec = Sequential([LSTM(2, name=name), Dense(1, name="hidden")], input_shape=(None, 3))
    source = SOURCES[target](spec)
    compile(source, "port.py", "exec")
    assert "exec(" not in source


REFUSED = {
    "gru": (GRU(2, name="gate"), "GRU 'gate' cannot be converted because of its class"),
    "activation": (LSTM(2, "relu", name="x"), "LSTM 'x' cannot be converted because of activation='relu'"),
    "gate": (LSTM(2, recurrent_activation="hard_sigmoid"), ".* because of recurrent_activation='hard_sigmoid'"),
    "statistics": (BatchNormalization(), "BatchNormalization .* its class"),
}


@pytest.mark.unit
@pytest.mark.parametrize("target", SOURCES)
@pytest.mark.parametrize("label", REFUSED)
def test_a_layer_without_a_counterpart_is_refused_by_its_name(label, target):
    layer, message = REFUSED[label]
    with pytest.raises(UnsupportedError, match=f"{target}: {message}"):
        SOURCES[target](Sequential([layer], input_shape=(None, 3)))


@pytest.mark.unit
def test_tensorflow_1_refuses_a_mask_that_no_layer_takes():
    with pytest.raises(UnsupportedError, match="tf1: Masking 'm' cannot be converted because of its mask"):
        tf1_source(Sequential([Masking(0.5, name="m"), Dense(2)], input_shape=(None, 3)))


@pytest.mark.unit
def test_the_bias_that_haiku_adds_is_counted():
    assert further_parameters(MODELS["masks"]) == {
        name: 8 if name == "lstm_1" else 0 for name in MODELS["masks"].layer_inputs
    }


def test_the_attributes_of_a_module_are_no_names_of_layers():
    equinox, haiku = pytest.importorskip("equinox"), pytest.importorskip("haiku")
    for module, source in ((equinox.Module, equinox_source), (haiku.Module, haiku_source)):
        for name in (name for name in dir(module) if not name.startswith("_")):
            assert f"self.{name} =" not in source(Sequential([LSTM(2, name=name)], input_shape=(None, 3)))
