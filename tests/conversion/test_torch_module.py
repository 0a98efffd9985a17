"""Models as PyTorch modules: the reference's answers in float64, readable source, and refusals by name."""

import pathlib
import subprocess
import sys

import flax_models
import numpy as np
import pytest
from module_answers import assert_answers_of_the_reference

from multilstm.cases.catalogue import catalogue
from multilstm.conversion.torch.source import reserved_attributes, torch_source
from multilstm.conversion.torch.state import TorchState
from multilstm.errors import InputError, UnsupportedError
from multilstm.spec import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    Input,
    Masking,
    Maximum,
    MaxPooling1D,
    Minimum,
    Model,
    Multiply,
    Sequential,
    SimpleRNN,
    TimeDistributed,
)
from multilstm.weights import discriminating_weights

CASES = {name: case for name, case in catalogue().items() if not name.startswith("seed")}


def is_runnable(case):
    """Whether no batch of a case has masks or dropout masks, which a module takes neither."""
    batch = next(iter(case.forward.batches()))
    return not batch.masks and not batch.dropout and not case.spec.regularizers


NAMES = [name for number, (name, case) in enumerate(CASES.items()) if is_runnable(case) and number % 2 == 0]


def sources_of(names):
    for name in names:
        try:
            yield name, torch_source(CASES[name].spec)
        except UnsupportedError:
            continue


CONVERTED = dict(sources_of(NAMES))


def encoder_decoder():
    encoded, decoded = Input((None, 3), name="class"), Input((None, 4), name="def")
    _, hidden, cell = LSTM(5, return_state=True, name="encoder")(encoded)
    sequence = LSTM(5, return_sequences=True, name="decoder")(decoded, initial_state=[hidden, cell])
    return Model([encoded, decoded], Dense(2, activation="softmax", name="x" * 60)(sequence))


OWN = {
    "plain": Sequential([LSTM(4), Dense(2)], input_shape=(None, 3)),
    "encoder_decoder": encoder_decoder(),
    "long_names": Sequential(
        [Bidirectional(LSTM(4, return_sequences=True), "sum", name="a" * 50), Dense(2, name="b" * 70)], (None, 3)
    ),
    "masks": Sequential(
        [Masking(-1.0), Bidirectional(LSTM(4, return_sequences=True)), LSTM(2, go_backwards=True), Dense(2)], (None, 3)
    ),
    "products": flax_models.MODELS["products"],
    "convolution": Sequential([Conv1D(4, 3, padding="same"), MaxPooling1D(2), GRU(3), Dense(2, "relu")], (8, 3)),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_converted_case_gives_the_answers_of_the_reference(name):
    pytest.importorskip("torch")
    from multilstm.engines.torch_module import TorchModuleEngine

    try:
        assert_answers_of_the_reference(TorchModuleEngine(), CASES[name])
    except UnsupportedError as error:
        pytest.skip(str(error))


def test_products_of_tensors_give_the_answers_of_the_reference():
    pytest.importorskip("torch")
    from multilstm.engines.torch_module import TorchModuleEngine

    assert_answers_of_the_reference(TorchModuleEngine(), flax_models.case("products"))


def test_most_cases_are_converted():
    assert len(CONVERTED) > 0.8 * len(NAMES) > 100


@pytest.mark.unit
@pytest.mark.parametrize("name", [*OWN, *list(CONVERTED)[::8]])
def test_the_source_is_formatted_and_has_no_unused_name(name):
    source = torch_source(OWN[name]) if name in OWN else CONVERTED[name]
    for command in (["format", "--check", "--diff"], ["check", "--select", "E9,F", "--ignore", "F841"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--stdin-filename", "port.py", "-"],
            input=source, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.unit
@pytest.mark.parametrize("name", OWN)
def test_weights_return_bitwise(name):
    spec = OWN[name]
    weights = discriminating_weights(spec)
    state = TorchState(spec)
    returned = state.to_keras(state.to_target(weights))
    assert list(returned) == list(spec.weight_shapes)
    for key, array in weights.items():
        np.testing.assert_array_equal(returned[key], array)


PLAIN = """\
import torch
from torch import nn


class Model(nn.Module):
    \"\"\"Maps [batch, *, 3] to [batch, 2].\"\"\"

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.dense = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(x)
        x = hidden[0]
        x = self.dense(x)
        return x
"""


@pytest.mark.unit
def test_the_source_of_a_plain_model_reads_as_written_by_hand():
    assert torch_source(OWN["plain"]) == PLAIN


HOSTILE = [
    "import os",
    "x'); exec('1",
    "forward",
    "train",
    "self",
    "torch",
    "LSTM",
    "été\n",
    "1",
    "",
    "lambda",
    "match",
]


@pytest.mark.unit
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_enters_the_source_as_a_new_identifier(name):
    layers = [LSTM(2, name=name or None), Dense(1, name="hidden")]
    source = torch_source(Sequential(layers, input_shape=(None, 3)))
    compile(source, "port.py", "exec")
    assert "os" not in source.split()
    assert "exec(" not in source


def test_the_attributes_of_a_module_are_no_names_of_layers():
    torch = pytest.importorskip("torch")
    own = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert own <= reserved_attributes()


REFUSED = {
    "gru_reset_before": (GRU(2, reset_after=False), "GRU 'gru' cannot be converted because of reset_after=False"),
    "gru_activation": (GRU(2, activation="relu"), "because of activation='relu': torch.nn.GRU has 'tanh'"),
    "rnn_activation": (SimpleRNN(2, activation="elu"), "torch.nn.RNN has 'tanh' and 'relu'"),
    "pool_same": (MaxPooling1D(2, padding="same"), "because of padding='same'"),
    "convolution_in_time": (TimeDistributed(Dense(2)), None),
}


@pytest.mark.unit
@pytest.mark.parametrize("label", REFUSED)
def test_a_layer_without_a_counterpart_is_refused_by_its_name(label):
    layer, message = REFUSED[label]
    spec = Sequential([layer], input_shape=(6, 3))
    if message is None:
        assert "nn.Linear(3, 2)" in torch_source(spec)
        return
    with pytest.raises(UnsupportedError, match=message):
        torch_source(spec)


@pytest.mark.unit
def test_a_masked_gru_is_refused():
    spec = Sequential([Embedding(9, 3, mask_zero=True), GRU(2)], (None,), input_dtype="int32")
    with pytest.raises(UnsupportedError, match=r"because of the mask of its input: torch\.nn\.GRU has none"):
        torch_source(spec)


@pytest.mark.unit
@pytest.mark.parametrize("first", [True, False], ids=["masked_first", "masked_second"])
@pytest.mark.parametrize("merge", [Maximum(), Minimum(), Multiply()], ids=lambda layer: layer.class_name)
def test_a_merge_whose_answer_a_mask_changes_is_refused(merge, first):
    """The mask of one input is lost behind the merge, but decides which number it takes."""
    x = Input((None, 3))
    tensors = [Masking()(x), Dense(3)(x)]
    with pytest.raises(UnsupportedError, match=f"{merge.class_name} .* because of the mask of its input"):
        torch_source(Model(x, merge(tensors if first else tensors[::-1])))


STATE = TorchState(OWN["plain"]).to_target(discriminating_weights(OWN["plain"]))
WRONG = {
    "missing": ({k: v for k, v in STATE.items() if k != "dense.bias"}, "missing: 'dense.bias'"),
    "unknown": ({**STATE, "lstm.weight_hr_l0": np.ones(3)}, "unknown: 'lstm.weight_hr_l0'"),
    "shape": ({**STATE, "dense.weight": np.ones((4, 2))}, r"'dense.weight' with the shape \(4, 2\), expected \(2, 4\)"),
}


@pytest.mark.unit
@pytest.mark.parametrize("label", WRONG)
def test_a_state_dict_of_another_module_is_refused(label):
    state, message = WRONG[label]
    with pytest.raises(InputError, match=message):
        TorchState(OWN["plain"]).to_keras(state)


def test_convert_writes_a_module_that_runs_alone(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from multilstm.cli.app import app

    spec = tmp_path / "own_model.py"
    spec.write_text(
        "from multilstm import LSTM, Dense, Sequential\n"
        "def model():\n    return Sequential([LSTM(4), Dense(2)], input_shape=(None, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert app(["convert", "own_model:model", "port.py"], result_action="return_value") == 0
    shown = capsys.readouterr().out
    assert "Same answers on torch-module" in shown
    assert "two biases, 16 parameters more" in shown
    assert sorted(path.name for path in tmp_path.glob("port*")) == ["port.proof.json", "port.py", "port.safetensors"]
    monkeypatch.syspath_prepend(str(pathlib.Path.cwd()))
    import port

    module = port.Model()
    module.load_state_dict(load_file("port.safetensors"))
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    weights = TorchState(OWN["plain"]).to_keras({name: array.numpy() for name, array in module.state_dict().items()})
    from multilstm import run

    desired = run(OWN["plain"], "reference", x.astype("float32"), weights=weights).output
    actual = module(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(actual, desired, rtol=0, atol=1e-6)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x:y", "port.caffe"), "suffix '.caffe'; expected .py"),
        (("x:y", "nowhere/port.py"), "nowhere"),
        (("x:y", "port.py", "--to", "caffe"), "unknown target 'caffe'"),
    ],
    ids=["suffix", "folder", "target"],
)
def test_convert_refuses_before_it_computes(arguments, message, tmp_path, monkeypatch):
    from multilstm.cli.app import app
    from multilstm.errors import MultilstmError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(MultilstmError, match=message):
        app(["convert", *arguments], result_action="return_value", exit_on_error=False)
    assert list(tmp_path.iterdir()) == []
