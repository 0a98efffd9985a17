"""Hostile configurations inside of files: refused in bounded time, with the place and the reason."""

import json
import os

import pytest
from written_files import SPEC, archive, hdf5, keras_archive, weights_of

import multilstm
from multilstm.errors import MultilstmError
from multilstm.spec import LSTM, Dense, Input, Model, Sequential

pytestmark = pytest.mark.usefixtures("parse_here")
SMALL = Sequential([LSTM(2, name="a"), Dense(1, name="b")], input_shape=(4, 3))


@pytest.fixture(params=["json", "keras", "hdf5"])
def load(request, tmp_path, monkeypatch):
    """Load a configuration from each format that holds one."""
    monkeypatch.chdir(tmp_path)

    def loaded(text):
        content = {
            "json": lambda: text.encode("utf-8", "surrogatepass"),
            "keras": lambda: archive({"config.json": text.encode("utf-8", "surrogatepass")}),
            "hdf5": lambda: hdf5(
                lambda file: file.attrs.__setitem__("model_config", text.encode("utf-8", "surrogatepass"))
            ),
        }[request.param]()
        (tmp_path / "model").write_bytes(content)
        try:
            return multilstm.load("model")
        finally:
            assert os.listdir() == ["model"]

    return loaded


def changed(layer=1, **config):
    """Return the text of a small model with other arguments of one layer."""
    data = json.loads(SMALL.to_json())
    data["config"]["layers"][layer]["config"] |= config
    return json.dumps(data)


def with_layer(class_name, config=None, **entry):
    data = json.loads(SMALL.to_json())
    layer = {"class_name": class_name, "config": {"name": "evil", **(config or {})}, "registered_name": None, **entry}
    data["config"]["layers"].append(layer)
    return json.dumps(data)


def function(name, module, registered_name="function"):
    return {"class_name": "function", "config": name, "module": module, "registered_name": registered_name}


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
CODE = r"unknown class '{}'.*{} stands for code, and code in files is never executed"
FILE = r"unknown class '{}'.*{} stands for another file or program, which is never loaded"
HOSTILE = {
    "nesting": ("[" * 100_000 + "]" * 100_000, "nested too deeply|broken|JSON of"),
    "digits": ('{"class_name": "Sequential", "config": ' + "9" * 5000 + "}", "this is not JSON"),
    "nan": (changed(dropout=0.5).replace("0.5", "NaN"), "the JSON contains NaN"),
    "infinity": (changed(dropout=0.5).replace("0.5", "1e999"), "the JSON contains '1e999'"),
    "key_twice": ('{"class_name": "Sequential", "class_name": "Model"}', "gives the key 'class_name' twice"),
    "lone_surrogate": (changed(activation="\ud800"), "activation"),
    "no_config": ('{"class_name": "Sequential"}', "config of Sequential"),
    "negative_units": (changed(units=-1), "units must be a positive integer"),
    "true_units": (changed(units=True), "units must be a positive integer"),
    "fractional_units": (changed(units=1.5), "units must be a positive integer"),
    "text_units": (changed(units="8"), "units must be a positive integer"),
    "lambda": (with_layer("Lambda", {"function": LAMBDA}), CODE.format("Lambda", "Lambda")),
    "operation": (with_layer("TensorFlowOpLayer"), CODE.format("TensorFlowOpLayer", "TensorFlowOpLayer")),
    "saved_model": (with_layer("TFSMLayer", {"filepath": "/etc"}), FILE.format("TFSMLayer", "TFSMLayer")),
    "torch": (with_layer("TorchModuleWrapper"), FILE.format("TorchModuleWrapper", "TorchModuleWrapper")),
    "lookup": (with_layer("StringLookup", {"vocabulary": "/etc/passwd"}), FILE.format("StringLookup", "StringLookup")),
    "custom": (with_layer("Mine", module="evil", registered_name="evil>Mine"), "class of the module 'evil'"),
    "defined_in_a_program": (
        with_layer("Dense", {"units": 1}, module=None, registered_name="Dense"),
        "registered_name of class Dense: given 'Dense'",
    ),
    "disguised": (with_layer("Dense", {"units": 1}, module="os"), "module of class Dense: given 'os'"),
    "registered": (
        with_layer("LSTM", {"units": 1}, module=None, registered_name="Custom>LSTM"),
        "registered_name of class LSTM: given 'Custom>LSTM'",
    ),
    "registered_model": (
        json.dumps({**json.loads(changed()), "module": None, "registered_name": "Custom>Sequential"}),
        "registered_name of class Sequential: given 'Custom>Sequential'",
    ),
    "function_of_a_module": (changed(activation=function("tanh", "evil")), "module of tanh: given 'evil'"),
    "registered_function": (
        changed(activation=function("tanh", "builtins", "Custom>tanh")), "registered_name of tanh: given 'Custom>tanh'",
    ),
    "quantised": (
        changed(dtype={"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}),
        "class of the dtype policy: given 'QuantizedDTypePolicy'",
    ),
    "lambda_inside": (
        with_layer("TimeDistributed", {"layer": {"class_name": "Lambda", "config": {}}}), "stands for code",
    ),
    "lambda_as_activation": (changed(activation=LAMBDA), "activation"),
    "lambda_as_initializer": (changed(kernel_initializer=LAMBDA), "unknown class '__lambda__'"),
    "itself": (with_layer("Bidirectional", {"layer": {"class_name": "Bidirectional", "config": {}}}), "unknown class"),
    "subclassed": ('{"class_name": "Mine", "module": "evil", "config": {}}', "class of the module 'evil'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_a_hostile_configuration(load, text, message):
    with pytest.raises(MultilstmError, match=message) as raised:
        load(text)
    assert len(str(raised.value)) < 3000


def test_layers_that_feed_each_other_are_refused(load):
    x = Input((4, 3), name="x")
    data = json.loads(Model(x, Dense(3, name="b")(Dense(3, name="a")(x))).to_json())
    history = data["config"]["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"]
    history[:] = ["b", 0, 0]
    with pytest.raises(MultilstmError, match="feed each other in a circle"):
        load(json.dumps(data))


def test_code_in_the_training_configuration_stays_data(tmp_path):
    config = json.dumps({**json.loads(SPEC.to_json()), "compile_config": {"optimizer": LAMBDA, "loss": "hf://evil"}})
    (tmp_path / "m").write_bytes(keras_archive(SPEC, weights_of(SPEC), **{"config.json": config}))
    assert multilstm.load(tmp_path / "m").training == {"optimizer": LAMBDA, "loss": "hf://evil"}


@pytest.mark.parametrize("name", ["\x1b[31m", "a\nb", "..", "::error::x", "[bold]", "<script>", "\u202e"])
def test_names_reach_no_terminal_unescaped(tmp_path, name):
    spec = Sequential([LSTM(2, name=name)], input_shape=(4, 3), name=name)
    (tmp_path / "m").write_bytes(keras_archive(spec, weights_of(spec)))
    loaded = multilstm.load(tmp_path / "m")
    lines = [*loaded.provenance.lines(), *loaded.spec.summary().splitlines()]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("version", ["\x1b[31m3.1", "3.1\n::error::", "9" * 500, "", "3.1; rm -rf"])
def test_versions_reach_no_terminal_unescaped(tmp_path, version):
    metadata = json.dumps({"keras_version": version})
    (tmp_path / "m").write_bytes(keras_archive(SPEC, weights_of(SPEC), **{"metadata.json": metadata}))
    try:
        lines = multilstm.load(tmp_path / "m").provenance.lines()
    except MultilstmError as error:
        lines = [str(error)]
    assert all(len(line) < 500 for line in lines)
    assert all(line.isprintable() for line in lines)
