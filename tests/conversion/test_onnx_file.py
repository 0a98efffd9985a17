"""Models as ONNX files: the reference's answers in float32 and float64, real nodes, readable names, and refusals."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.catalogue import catalogue
from multilstm.cases.model_case import model_case
from multilstm.compare.comparison import compare
from multilstm.compare.quantity import Quantity
from multilstm.compare.tolerances import tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import UnsupportedError, UsageError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import (
    GRU,
    LSTM,
    Add,
    Attention,
    AveragePooling1D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    ConvLSTM2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalMaxPooling1D,
    Input,
    LayerNormalization,
    Masking,
    Model,
    RepeatVector,
    Reshape,
    Sequential,
    SimpleRNN,
    TimeDistributed,
)
from multilstm.spec.arrays import as_state
from multilstm.weights import discriminating_weights

pytest.importorskip("onnxruntime", reason="install multilstm[onnx]")
onnx = pytest.importorskip("onnx")

from multilstm.conversion.onnx.model import onnx_model  # noqa: E402
from multilstm.conversion.onnx.opset import OPSETS  # noqa: E402
from multilstm.engines.onnx_file import OnnxFileEngine  # noqa: E402
from multilstm.frameworks.onnxruntime import runner  # noqa: E402

KEEP = ("outputs", "sequences", "states")
CASES = catalogue()
ENGINE, REFERENCE = OnnxFileEngine(), ReferenceEngine()


NAMES = [name for name in CASES if not name.startswith("seed")]


def answers(engine, spec, weights, batches, dtype):
    steps = tuple(Step("forward", dataclasses.replace(batch, targets=()), keep=KEEP) for batch in batches)
    return Executor(engine).execute(Job(spec, weights, steps, dtype))


def flat(result):
    """Return all arrays of a result, with the quantity of each."""
    for number, answer in enumerate(result.answers):
        for output, array in enumerate(answer.outputs):
            yield Quantity("output", f"{number}/{output}"), array
        for kind, arrays in (("sequence", answer.sequences), ("last_output", answer.last_outputs)):
            yield from ((Quantity(kind, f"{number}/{place}"), array) for place, array in arrays.items())
        for place, state in answer.states.items():
            yield from ((Quantity(field, f"{number}/{place}"), a) for field, a in state._asdict().items())


def assert_same(spec, weights, batches, dtype):
    """Assert that the file gives the answers of the reference, within the table of tolerances."""
    actual = answers(ENGINE, spec, weights, batches, dtype)
    desired = answers(REFERENCE, spec, weights, batches, dtype)
    assert actual.parameter_counts == desired.parameter_counts
    pairs = list(zip(flat(actual), flat(desired), strict=True))
    assert pairs
    for (quantity, array), (expected, array_desired) in pairs:
        assert quantity == expected
        comparison = compare(quantity, array, array_desired, tolerance(dtype, "cpu", quantity.kind))
        assert comparison.verdict != "diverges", comparison.message


@pytest.mark.parametrize("name", NAMES[::4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_converted_case_gives_the_answers_of_the_reference(name, dtype):
    case = CASES[name]
    try:
        assert_same(case.spec, case.initial_weights, list(case.forward.batches()), dtype)
    except UnsupportedError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["mish", "hard_silu", "log_softmax"])
def test_a_composed_activation_gives_the_answers_of_the_reference(activation, dtype):
    case = model_case(Sequential([Dense(5, activation), DepthwiseConv2D(2, activation=activation)], (4, 4, 3)), 2)
    assert_same(case.spec, case.initial_weights, list(case.forward.batches()), dtype)


def functional():
    """Return a model of two inputs with masks, attention, merging, states and a shared layer."""
    tokens, features = Input((None,), dtype="int32", name="tokens"), Input((None, 4), name="features")
    embedded = Embedding(9, 4, mask_zero=True, name="embedded")(tokens)
    sequence, hidden, cell = LSTM(4, return_sequences=True, return_state=True, name="encoder")(embedded)
    decoded = LSTM(4, return_sequences=True, name="decoder")(features, initial_state=[hidden, cell])
    mixed = Concatenate(name="mixed")([decoded, Attention(name="attention")([decoded, sequence])])
    shared = Dense(3, activation="gelu", name="shared")
    total = Add(name="total")([shared(mixed), shared(mixed)])
    return Model([tokens, features], [TimeDistributed(Dense(2, activation="softmax"), name="out")(total), hidden])


def windows():
    """Return a model of convolution, pooling, normalizations, both directions and a decoder."""
    return Sequential(
        [
            Conv1D(4, 3, padding="same", activation="relu", name="conv"),
            AveragePooling1D(2, padding="same"),
            BatchNormalization(),
            LayerNormalization(),
            Bidirectional(GRU(3, return_sequences=True), "ave", name="both"),
            Dropout(0.5),
            GlobalMaxPooling1D(),
            RepeatVector(3),
            SimpleRNN(4, return_sequences=True),
            Flatten(),
            Reshape((2, -1)),
            LSTM(2, activation="softsign", recurrent_activation="hard_sigmoid", go_backwards=True),
        ],
        (None, 3),
    )


@pytest.mark.parametrize(("batch", "timesteps"), [(1, 2), (1, 9), (4, 2), (4, 5), (4, 9)])
@pytest.mark.parametrize("model", [functional, windows])
def test_one_file_serves_all_lengths_and_batches(model, batch, timesteps):
    spec = model()
    weights = discriminating_weights(spec)
    file = onnx_model(spec, weights)
    run = runner(file.model)
    (given,) = list(model_case(spec, batch, timesteps).forward.batches())[:1]
    actual = run(file.outputs, {file.inputs[name]: array for name, array in given.inputs.items()})
    desired = answers(REFERENCE, spec, weights, [given], "float32").answers[0].outputs
    for array, array_desired in zip(actual, desired, strict=True):
        np.testing.assert_allclose(array, array_desired, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("opset", OPSETS)
def test_every_version_of_the_operators_has_the_same_answers(opset):
    for spec in (functional(), windows()):
        weights = discriminating_weights(spec)
        file = onnx_model(spec, weights, opset)
        assert [entry.version for entry in file.model.opset_import] == [opset]
        (given,) = list(model_case(spec).forward.batches())[:1]
        actual = runner(file.model)(file.outputs, {file.inputs[name]: a for name, a in given.inputs.items()})
        desired = answers(REFERENCE, spec, weights, [given], "float32").answers[0].outputs
        for array, array_desired in zip(actual, desired, strict=True):
            np.testing.assert_allclose(array, array_desired, rtol=1e-6, atol=1e-6)


MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("kind", ["forward", "backward", "both"])
@pytest.mark.parametrize("layer", [LSTM, GRU, SimpleRNN])
def test_a_mask_may_have_padding_at_any_place(layer, kind, zeros, sequences, dtype):
    inner = layer(
        3, return_sequences=sequences, return_state=True, zero_output_for_mask=zeros, go_backwards=kind == "backward"
    )
    given, *starts = [Input((None, 2), name="x"), *(Input((3,), name=f"start{k}") for k in range(4))]
    count = (2 if kind == "both" else 1) * len(inner.state_names)
    outputs = (Bidirectional(inner) if kind == "both" else inner)(Masking(-1.0)(given), starts[:count])
    spec = Model([given, *starts[:count]], outputs)
    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(5, 5, 2)), **{f"start{k}": rng.normal(size=(5, 3)) for k in range(count)}}
    inputs["x"][~MASK] = -1.0
    assert_same(spec, discriminating_weights(spec), [Batch(inputs)], dtype)


def nodes(spec, **options):
    model = onnx_model(spec, discriminating_weights(spec), **options).model
    return model.graph.node, [tensor.name for tensor in model.graph.initializer]


def test_two_directions_are_one_node_and_names_are_those_of_the_layers():
    spec = Sequential([Bidirectional(LSTM(4, return_sequences=True), name="both"), Dense(2, name="dense")], (None, 3))
    found, constants = nodes(spec)
    assert [(node.op_type, node.name) for node in found] == [
        ("Transpose", "both/transpose"),
        ("LSTM", "both"),
        ("Transpose", "both/transpose_1"),
        ("Reshape", "both/reshape"),
        ("MatMul", "dense"),
        ("Add", "dense/add"),
    ]
    assert list(found[1].input) == ["both/transpose", "both/W", "both/R", "both/B"]
    assert [*found[-1].output] == ["dense"]
    assert set(constants) == {"both/W", "both/R", "both/B", "integers/0_0_8", "dense/kernel", "dense/bias"}


def test_a_mask_becomes_sequence_lens():
    spec = Sequential([Embedding(9, 3, mask_zero=True), LSTM(2)], (None,), input_dtype="int32")
    found, _ = nodes(spec)
    (lstm,) = [node for node in found if node.op_type == "LSTM"]
    assert lstm.input[4]


def test_options_of_a_node_are_those_of_onnx():
    spec = Sequential([GRU(2, activation="elu", recurrent_activation="hard_sigmoid")], (None, 3))
    (gru,) = [node for node in nodes(spec)[0] if node.op_type == "GRU"]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in gru.attribute}
    assert attributes["activations"] == [b"HardSigmoid", b"Elu"]
    np.testing.assert_allclose(attributes["activation_alpha"], [1 / 6, 1.0])
    assert attributes["activation_beta"] == [0.5]
    assert attributes["linear_before_reset"] == 1


def test_states_of_a_stateful_layer_are_inputs_and_outputs_by_name():
    layers = [LSTM(2, stateful=True, name="memory"), Dense(1, name="out")]
    spec = Sequential(layers, input_shape=(None, 3), batch_size=2)
    weights = discriminating_weights(spec)
    file = onnx_model(spec, weights)
    assert file.starts == {"memory": ("memory/initial_hidden", "memory/initial_cell")}
    assert [tensor.name for tensor in file.model.graph.output] == ["out", "memory/final_hidden", "memory/final_cell"]
    batches = [Batch({name: np.ones((2, 4, 3), np.float32)}) for name in spec.inputs for _ in range(2)]
    desired = answers(REFERENCE, spec, weights, batches, "float32")
    state = as_state(*np.zeros((2, 2, 2), np.float32))
    for batch, answer in zip(batches, desired.answers, strict=True):
        feed = dict(zip(file.starts["memory"], state, strict=True))
        (given,) = batch.inputs.values()
        names = [*file.outputs, *file.ends["memory"]]
        output, *arrays = runner(file.model)(names, {**feed, next(iter(file.inputs.values())): given})
        state = as_state(*arrays)
        np.testing.assert_allclose(output, answer.outputs[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(state, answer.states["memory"], rtol=1e-6, atol=1e-6)


REFUSED = {
    "activation": (LSTM(2, activation="gelu"), "float32", "of the activation 'gelu': a node LSTM has tanh, sigmoid"),
    "number": (GRU(2, activation="leaky_relu"), "float64", "'leaky_relu' in float64: a node GRU holds its numbers"),
    "images": (ConvLSTM2D(2, 2), "float32", "ConvLSTM2D 'conv_lstm2d' cannot be converted because of its class"),
}


@pytest.mark.parametrize("label", REFUSED)
def test_a_layer_without_a_counterpart_is_refused_by_its_name(label):
    layer, dtype, message = REFUSED[label]
    spec = Sequential([layer], input_shape=(6, 4, 4, 3) if label == "images" else (6, 3))
    with pytest.raises(UnsupportedError, match=message):
        onnx_model(spec, discriminating_weights(spec), dtype=dtype)


@pytest.mark.parametrize("opset", [13, 23, 17.0, True, "17"])
def test_another_opset_is_refused(opset):
    spec = Sequential([LSTM(2)], (None, 3))
    with pytest.raises(UsageError, match=r"^opset is .*; expected 14 to 22$"):
        onnx_model(spec, discriminating_weights(spec), opset)


def test_weights_above_two_gigabytes_are_refused(monkeypatch):
    monkeypatch.setattr("multilstm.conversion.onnx.model.LARGEST", 100)
    spec = Sequential([LSTM(2)], (None, 3))
    with pytest.raises(UnsupportedError, match="the weights have 192 bytes, and a file of ONNX holds at most 2 GB"):
        onnx_model(spec, discriminating_weights(spec))


@pytest.mark.parametrize("name", ["a b", "été", "integers", "W", "x" * 200])
def test_a_name_enters_the_file_as_letters(name):
    spec = Sequential([LSTM(2, name=name), Dense(1, name=f"{name}2")], input_shape=(None, 3))
    file = onnx_model(spec, discriminating_weights(spec))
    for label in (*(node.name for node in file.model.graph.node), *file.outputs):
        assert label.isascii()
        assert " " not in label


def test_convert_writes_a_proven_file_of_the_chosen_operators(tmp_path, monkeypatch, capsys):
    from multilstm.cli.app import app

    (tmp_path / "own_masked_model.py").write_text(
        "from multilstm import Bidirectional, LSTM, Dense, Masking, Sequential\n"
        "def model():\n    return Sequential([Masking(), Bidirectional(LSTM(4)), Dense(2)], input_shape=(None, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["convert", "own_masked_model:model", "port.onnx", "--opset", "19"]
    assert app(arguments, result_action="return_value") == 0
    assert "Same answers on onnx-file" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("port*")) == ["port.onnx", "port.proof.json"]
    model = onnx.load(tmp_path / "port.onnx")
    assert [entry.version for entry in model.opset_import] == [19]
    assert [tensor.name for tensor in model.graph.output] == ["dense"]


def test_a_dtype_that_is_refused_is_not_compared_and_noted(kept_workers):
    import multilstm

    spec = Sequential([GRU(2, recurrent_activation="hard_sigmoid")], (None, 3))
    conversion = multilstm.convert(spec, to="onnx")
    assert {cell.dtype for cell in conversion.report.cells} == {"float32"}
    assert conversion.notes[0].startswith("compared in float32 alone, since float64 is refused (onnx: GRU 'gru'")
    assert list(conversion.files) == [".onnx"]
