"""Models as Flax modules: the reference's answers in float64, readable source, and refusals by name."""

import itertools
import subprocess
import sys

import flax_models
import numpy as np
import pytest
from module_answers import assert_answers_of_the_reference

from multilstm.cases.catalogue import catalogue
from multilstm.cases.model_case import model_case
from multilstm.conversion.flax.api import LINEN, NNX
from multilstm.conversion.flax.source import flax_source, reserved_attributes
from multilstm.conversion.flax.state import FlaxState, further_parameters
from multilstm.errors import InputError, UnsupportedError
from multilstm.spec import (
    GRU,
    LSTM,
    Attention,
    Dense,
    Input,
    LayerNormalization,
    Model,
    Reshape,
    Sequential,
    SimpleRNN,
    TimeDistributed,
)
from multilstm.weights import discriminating_weights

APIS = {"nnx": NNX, "linen": LINEN}
OWN = flax_models.MODELS
LINEN_CASES = ("plain", "masks", "gru", "normalization", "encoder_decoder")


@pytest.fixture
def float64():
    """JAX with float64, where Flax is installed."""
    pytest.importorskip("flax")
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", OWN)
def test_a_module_of_nnx_gives_the_answers_of_the_reference(name):
    from multilstm.engines.flax_module import FlaxModuleEngine

    assert_answers_of_the_reference(FlaxModuleEngine(), flax_models.case(name))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", LINEN_CASES)
def test_a_module_of_linen_gives_the_answers_of_the_reference(name):
    from multilstm.engines.flax_module import LinenModuleEngine

    assert_answers_of_the_reference(LinenModuleEngine(), flax_models.case(name))


@pytest.mark.unit
def test_the_sources_of_all_cases_are_formatted_and_have_no_unused_name(tmp_path):
    specs = OWN | {name: case.spec for name, case in catalogue().items()}
    written = 0
    for api, spec in itertools.product(APIS.values(), specs.values()):
        try:
            source = flax_source(spec, api)
        except UnsupportedError:
            continue
        (tmp_path / f"{api.name}_{written}.py").write_text(source)
        written += 1
    assert written > 1.6 * len(specs)
    for command in (["format", "--check", "--diff"], ["check", "--select", "E9,F", "--ignore", "F841"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--quiet", "."],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.unit
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("api", APIS)
def test_weights_return_bitwise(api, name):
    spec = OWN[name]
    weights = discriminating_weights(spec)
    if api == "linen":  # whose GRUCell has one bias for each of the gates r and z
        flax_models.without_second_biases(spec, weights)
    state = FlaxState(spec, APIS[api])
    returned = state.to_keras(state.to_target(weights))
    assert list(returned) == list(spec.weight_shapes)
    for key, array in weights.items():
        np.testing.assert_array_equal(returned[key], array)


PLAIN = {
    "nnx": '''\
import jax
from flax import nnx


class Model(nnx.Module):
    """Maps [batch, *, 3] to [batch, 2]."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.lstm = nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=rngs))
        self.dense = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.lstm(x)[:, -1]
        x = self.dense(x)
        return x
''',
    "linen": '''\
import flax.linen as nn
import jax


class Model(nn.Module):
    """Maps [batch, *, 3] to [batch, 2]."""

    def setup(self) -> None:
        self.lstm = nn.RNN(nn.OptimizedLSTMCell(4))
        self.dense = nn.Dense(2)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.lstm(x)[:, -1]
        x = self.dense(x)
        return x
''',
}


@pytest.mark.unit
@pytest.mark.parametrize("api", APIS)
def test_the_source_of_a_plain_model_reads_as_written_by_hand(api):
    assert flax_source(OWN["plain"], APIS[api]) == PLAIN[api]


@pytest.mark.unit
@pytest.mark.parametrize(
    "name", ["x'); exec('1", "train", "setup", "self", "jax", "été\n", "1", "lambda"], ids=range(8)
)
@pytest.mark.parametrize("api", APIS)
def test_a_name_enters_the_source_as_a_new_identifier(api, name):
    spec = Sequential([LSTM(2, name=name), Dense(1, name="hidden")], input_shape=(None, 3))
    source = flax_source(spec, APIS[api])
    compile(source, "port.py", "exec")
    assert "exec(" not in source


def test_the_attributes_of_a_module_are_no_names_of_layers():
    nnx, linen = pytest.importorskip("flax.nnx"), pytest.importorskip("flax.linen")
    own = {name for module in (nnx.Module, linen.Module) for name in dir(module) if not name.startswith("_")}
    assert own <= reserved_attributes()


@pytest.mark.usefixtures("float64")
def test_a_layer_may_have_the_name_of_the_collection_of_parameters():
    from multilstm.engines.flax_module import LinenModuleEngine

    spec = Sequential([LSTM(2, name="params"), Dense(1, name="params_")], input_shape=(None, 3))
    assert_answers_of_the_reference(LinenModuleEngine(), model_case(spec, 2, 3))


REFUSED = {
    "attention": (Attention(use_scale=True), "its class: no module of Flax is its counterpart"),
    "axis": (LayerNormalization(axis=1), "because of axis=1"),
    "distributed": (TimeDistributed(Reshape((3, 1))), "the layer Reshape in it"),
}


@pytest.mark.unit
@pytest.mark.parametrize("label", REFUSED)
def test_a_layer_without_a_counterpart_is_refused_by_its_name(label):
    layer, message = REFUSED[label]
    x = Input((6, 3))
    y = layer([x, x]) if isinstance(layer, Attention) else layer(x)
    with pytest.raises(UnsupportedError, match=message):
        flax_source(Model(x, y), NNX)


@pytest.mark.unit
def test_parameters_of_another_module_are_refused():
    state = FlaxState(OWN["plain"], NNX)
    arrays = state.to_target(discriminating_weights(OWN["plain"]))
    del arrays["dense.bias"]
    with pytest.raises(InputError, match=r"missing: 'dense\.bias'"):
        state.to_keras(arrays)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("layer", "nnx", "linen"),
    [
        (LSTM(4), 0, 0),
        (LSTM(4, use_bias=False), 16, 16),
        (GRU(4), 0, -8),
        (GRU(4, use_bias=False), 12, 16),
        (GRU(4, reset_after=False), 0, 0),
        (SimpleRNN(4, use_bias=False), 4, 4),
    ],
    ids=["lstm", "lstm-no_bias", "gru", "gru-no_bias", "gru-reset_before", "rnn-no_bias"],
)
def test_further_parameters_are_counted(layer, nnx, linen):
    spec = Sequential([layer], input_shape=(None, 3))
    shapes = {api: FlaxState(spec, api).to_target(discriminating_weights(spec)) for api in APIS.values()}
    for api, expected in ((NNX, nnx), (LINEN, linen)):
        assert sum(further_parameters(spec, api).values()) == expected
        assert sum(array.size for array in shapes[api].values()) == spec.parameter_count + expected


def test_convert_writes_a_module_that_runs_alone(tmp_path, monkeypatch, capsys):
    nnx = pytest.importorskip("flax.nnx")
    from flax.traverse_util import unflatten_dict
    from safetensors.flax import load_file

    from multilstm import run
    from multilstm.cli.app import app

    source = "import flax_models\n\ndef model():\n    return flax_models.MODELS['plain']\n"
    (tmp_path / "own_model.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert app(["convert", "own_model:model", "port_nnx.py", "--to", "flax-nnx"], result_action="return_value") == 0
    assert "Same answers on flax-module" in capsys.readouterr().out
    import port_nnx

    module = port_nnx.Model(rngs=nnx.Rngs(0))
    arrays = load_file("port_nnx.safetensors")
    nnx.update(module, unflatten_dict(arrays, sep="."))
    module.eval()
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    weights = FlaxState(OWN["plain"], NNX).to_keras({name: np.asarray(array) for name, array in arrays.items()})
    desired = run(OWN["plain"], "reference", x, weights=weights).output
    np.testing.assert_allclose(np.asarray(module(x)), desired, rtol=0, atol=1e-6)
