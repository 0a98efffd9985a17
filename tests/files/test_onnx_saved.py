"""ONNX models that PyTorch exports, and LSTM nodes with options: the answers of ONNX Runtime."""

import io
import warnings

import numpy as np
import pytest
from onnx_files import attribute, field, integers, lstm_file, number, operator

import multilstm
from multilstm.errors import InputError

pytest.importorskip("onnx", reason="torch.onnx.export needs it")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("parse_here")


class Reader(torch.nn.Module):
    """An LSTM with a head; `take` names the output that the head takes, `kind` the class of another recurrent layer."""

    def __init__(self, take="sequence", layers=1, tokens=False, bidirectional=False, batch_first=True, kind="LSTM"):
        super().__init__()
        self.take = take
        self.embed = torch.nn.Embedding(11, 5) if tokens else torch.nn.Identity()
        options = {"bidirectional": bidirectional, "batch_first": batch_first}
        self.lstm = getattr(torch.nn, kind)(5, 4, layers, **options)
        self.drop = torch.nn.Dropout(0.3)
        self.head = torch.nn.Linear(8 if bidirectional else 4, 3)

    def forward(self, inputs):
        sequence, states = self.lstm(self.embed(inputs))
        hidden = states[0] if isinstance(states, tuple) else states
        taken = {
            "sequence": lambda: sequence,
            "last": lambda: sequence[:, -1, :],
            "hidden": lambda: hidden[-1],
            "both": lambda: torch.cat((hidden[-2], hidden[-1]), dim=1),
        }[self.take]()
        return torch.softmax(self.head(self.drop(taken)), -1)


class Windows(torch.nn.Module):
    """Convolutions over timesteps, a normalization, pooling and a sum, an LSTM, and a head over all numbers."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(5, 4, 3, padding=1, dilation=1)
        self.norm = torch.nn.BatchNorm1d(4)
        self.wide = torch.nn.Conv1d(4, 4, 2, stride=2, groups=2, bias=False)
        self.lstm = torch.nn.LSTM(4, 4, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(8 * 3, 3)

    def forward(self, inputs):
        below = self.norm(torch.relu(self.conv(inputs.swapaxes(1, 2))))  # which the exporter cannot fuse
        pooled = torch.nn.functional.max_pool1d(below, 2) + self.wide(below)
        sequence, _ = self.lstm(pooled.swapaxes(1, 2))
        return self.head(torch.flatten(sequence, 1)) * self.head(torch.flatten(sequence, 1))


def exported(model, inputs, varying):
    stream = io.BytesIO()
    axes = {"x": {0: "n", 1: "m"}} if varying else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without onnxscript is deprecated
        torch.onnx.export(model.eval(), (inputs,), stream, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return stream.getvalue()


def answers(content, inputs):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


@pytest.fixture
def load(tmp_path):
    def loaded(content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return multilstm.load(path)

    return loaded


MODELS = {
    "sequence": ({}, ["LSTM", "Dense", "Activation"]),
    "two_layers_last": ({"take": "last", "layers": 2}, ["LSTM", "LSTM", "Dense", "Activation"]),
    "hidden": ({"take": "hidden", "layers": 2}, ["LSTM", "LSTM", "Dense", "Activation"]),
    "both_directions": (
        {"layers": 2, "bidirectional": True},
        ["Bidirectional", "Bidirectional", "Dense", "Activation"],
    ),
    "both_states": ({"take": "both", "bidirectional": True}, ["Bidirectional", "Dense", "Activation"]),
    "tokens": ({"tokens": True}, ["Embedding", "LSTM", "Dense", "Activation"]),
    "time_first": ({"batch_first": False}, ["LSTM", "Dense", "Activation"]),
    "gru": ({"kind": "GRU", "layers": 2, "take": "last"}, ["GRU", "GRU", "Dense", "Activation"]),
    "gru_states": ({"kind": "GRU", "bidirectional": True, "take": "both"}, ["Bidirectional", "Dense", "Activation"]),
    "rnn": ({"kind": "RNN", "bidirectional": True}, ["Bidirectional", "Dense", "Activation"]),
}


@pytest.mark.parametrize("varying", [False, True], ids=["fixed", "varying"])
@pytest.mark.parametrize(("options", "layers"), MODELS.values(), ids=MODELS)
def test_a_model_of_pytorch_gives_the_answers_of_onnx_runtime(load, options, layers, varying):
    torch.manual_seed(1)
    inputs = torch.randint(0, 11, (2, 6)) if options.get("tokens") else torch.randn(2, 6, 5)
    content = exported(Reader(**options), inputs, varying)
    (desired,) = answers(content, {"x": inputs.numpy()})
    given = inputs.numpy().astype("int32") if options.get("tokens") else inputs.numpy()
    if not options.get("batch_first", True):
        given, desired = given.swapaxes(0, 1), desired.swapaxes(0, 1)
    loaded = load(content)
    assert [type(layer).__name__ for layer in loaded.spec.layers][1:] == layers
    assert loaded.provenance.program == "pytorch"
    (actual,) = multilstm.run(loaded, "reference", given, dtype="float64").outputs
    np.testing.assert_allclose(actual, desired, atol=1e-6)
    assert any("timesteps first" in note for note in loaded.provenance.notes) == ("batch_first" in options)


def test_convolutions_normalizations_pooling_and_sums_give_the_answers_of_onnx_runtime(load):
    torch.manual_seed(2)
    model, inputs = Windows(), torch.randn(2, 6, 5)
    with torch.no_grad():
        for number, tensor in enumerate((model.norm.running_mean, model.norm.running_var, model.norm.weight)):
            tensor.copy_(torch.rand(4) + number)
    content = exported(model, inputs, varying=False)
    (desired,) = answers(content, {"x": inputs.numpy()})
    loaded = load(content)
    kinds = {type(layer).__name__ for layer in loaded.spec.layers}
    assert {"ZeroPadding1D", "Conv1D", "BatchNormalization", "MaxPooling1D", "Add", "Flatten", "Multiply"} <= kinds
    (actual,) = multilstm.run(loaded, "reference", inputs.numpy(), dtype="float64").outputs
    np.testing.assert_allclose(actual, desired, atol=1e-6)


def test_the_last_timestep_of_both_directions_needs_fixed_timesteps(load):
    torch.manual_seed(3)
    model, inputs = Reader("last", bidirectional=True), torch.randn(2, 6, 5)
    content = exported(model, inputs, varying=False)
    (actual,) = multilstm.run(load(content), "reference", inputs.numpy(), dtype="float64").outputs
    np.testing.assert_allclose(actual, answers(content, {"x": inputs.numpy()})[0], atol=1e-6)
    content = exported(model, inputs, varying=True)
    with pytest.raises(InputError, match=r"node '/Gather' \('Gather'\): it takes place -1 of the 't' axis"):
        load(content)


def activations(*names, alpha=(), beta=()):
    lists = [attribute("activations", *(field(9, name) for name in names), field(20, 8))]
    for label, values in (("activation_alpha", alpha), ("activation_beta", beta)):
        if values:
            content = field(7, np.asarray(values, "<f4").tobytes())
            lists.append(attribute(label, content, field(20, 6)))
    return lists


HARD = ("HardSigmoid", "Tanh", "Tanh")
NODES = {
    "standard": [],
    "hard_sigmoid": activations(*HARD),
    "hard_sigmoid_numbers": activations(*HARD, alpha=[0.2], beta=[0.5]),
    "hard_sigmoid_of_keras_3": activations(*HARD, alpha=[1 / 6], beta=[0.5]),
    "relu": activations("Sigmoid", "Relu", "Relu"),
    "elu_takes_the_second_alpha": activations("HardSigmoid", "Elu", "Elu", alpha=[0.2, 1.0, 1.0], beta=[0.5]),
}


@pytest.mark.parametrize("attributes", NODES.values(), ids=NODES)
def test_activations(load, attributes):
    content = lstm_file(*attributes, attribute("hidden_size", field(3, 4), field(20, 2)))
    inputs = np.random.default_rng(2).normal(size=(6, 2, 5)).astype("float32")
    (desired,) = answers(content, {"x": inputs})
    (actual,) = multilstm.run(load(content), "reference", inputs.swapaxes(0, 1), dtype="float64").outputs
    np.testing.assert_allclose(actual.swapaxes(0, 1), desired[:, 0], atol=1e-5)


def text(name, value):
    return attribute(name, field(4, value), field(20, 3))


SIZE = attribute("hidden_size", field(3, 4), field(20, 2))
STATES = [("h0", (1, None, 4)), ("c0", (1, None, 4))]


def test_a_reversed_node_gives_its_last_state(load):
    content = lstm_file(SIZE, text("direction", "reverse"), outputs="h c")
    inputs = np.random.default_rng(2).normal(size=(6, 2, 5)).astype("float32")
    desired = answers(content, {"x": inputs})
    actual = multilstm.run(load(content), "reference", inputs.swapaxes(0, 1), dtype="float64").outputs
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_allclose(one, other[0], atol=1e-6)


def test_states_of_both_directions_are_outputs(load):
    content = lstm_file(SIZE, text("direction", "bidirectional"), directions=2, outputs="y h c")
    inputs = np.random.default_rng(2).normal(size=(6, 2, 5)).astype("float32")
    y, h, c = answers(content, {"x": inputs})
    loaded = load(content)
    actual = multilstm.run(loaded, "reference", inputs.swapaxes(0, 1), dtype="float64").outputs
    np.testing.assert_allclose(actual[0].swapaxes(0, 1), np.concatenate([y[:, 0], y[:, 1]], -1), atol=1e-6)
    for one, other in zip(actual[1:], [*h, *c], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    notes = " ".join(loaded.provenance.notes)
    assert "[timesteps, directions or layers, batch, features] in the file, and is 1 of the form" in notes
    assert "output 'h' has the axes [directions or layers, batch, features] in the file, and is 2 of the form" in notes


def test_initial_states_become_inputs(load):
    content = lstm_file(SIZE, extra=("", "h0", "c0"), states=STATES, outputs="y h")
    rng = np.random.default_rng(2)
    inputs, states = rng.normal(size=(6, 2, 5)).astype("float32"), rng.normal(size=(2, 1, 2, 4)).astype("float32")
    desired = answers(content, {"x": inputs, "h0": states[0], "c0": states[1]})
    loaded = load(content)
    given = {"x": inputs.swapaxes(0, 1), "rnn_hidden": states[0, 0], "rnn_cell": states[1, 0]}
    actual = multilstm.run(loaded, "reference", given, dtype="float64").outputs
    np.testing.assert_allclose(actual[0].swapaxes(0, 1), desired[0][:, 0], atol=1e-6)
    np.testing.assert_allclose(actual[1], desired[1][0], atol=1e-6)
    assert "part of the input 'h0'" in loaded.provenance.notes[1]


def test_states_of_one_lstm_start_another(load):
    second = operator("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["z", "", ""], SIZE, name="decoder")
    content = lstm_file(SIZE, nodes=[second], outputs="z")
    inputs = np.random.default_rng(2).normal(size=(6, 2, 5)).astype("float32")
    (desired,) = answers(content, {"x": inputs})
    (actual,) = multilstm.run(load(content), "reference", inputs.swapaxes(0, 1), dtype="float64").outputs
    np.testing.assert_allclose(actual.swapaxes(0, 1), desired[:, 0], atol=1e-6)


def test_an_activation_node_with_a_number(load):
    hard = operator("HardSigmoid", ["y"], ["z"], number("alpha", 0.2), name="gate")
    content = lstm_file(SIZE, nodes=[hard], outputs="z")
    assert [layer.activation for layer in load(content).spec.layers[1:]] == ["tanh", "hard_sigmoid_keras2"]


def test_axes_that_a_squeeze_removes(load):
    content = lstm_file(SIZE, nodes=[operator("Squeeze", ["y"], ["z"], integers("axes", 1))], outputs="z")
    assert "output 'z' has the axes [timesteps, batch, features]" in " ".join(load(content).provenance.notes)
