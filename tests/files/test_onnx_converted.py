"""ONNX files that `multilstm convert` writes, read back: the same answers and the same number of parameters."""

import numpy as np
import pytest

import multilstm
from multilstm.cases.model_case import model_case
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    Input,
    LayerNormalization,
    Model,
    Sequential,
    SimpleRNN,
)
from multilstm.weights import discriminating_weights

pytest.importorskip("onnx", reason="install multilstm[onnx]")
pytestmark = pytest.mark.usefixtures("parse_here")


def passed_states():
    """Return a model whose LSTM begins with the joined states of two directions."""
    x = Input((None, 3), name="x")
    _, *states = Bidirectional(LSTM(2, return_state=True))(x)
    joined = [Concatenate()(pair) for pair in (states[::2], states[1::2])]
    return Model(x, LSTM(4)(x, initial_state=joined))


SPECS = {
    "passed_states": passed_states(),
    "lstm": Sequential([LSTM(4), Dense(2, activation="softmax")], (None, 3)),
    "two_directions": Sequential([Bidirectional(LSTM(3, return_sequences=True)), GRU(2), Dense(2)], (None, 3)),
    "sum": Sequential([Bidirectional(LSTM(3, return_sequences=True), "sum"), Dense(2)], (None, 3)),
    "ave": Sequential([Bidirectional(LSTM(3, return_sequences=True), "ave"), Bidirectional(GRU(2), "ave")], (None, 3)),
    "mul": Sequential([Bidirectional(LSTM(3), "mul"), Dense(2)], (None, 3)),
    "tokens": Sequential([Embedding(9, 3), SimpleRNN(4, activation="relu")], (None,), input_dtype="int32"),
    "windows": Sequential(
        [Conv1D(4, 3, activation="relu"), BatchNormalization(), LSTM(3, recurrent_activation="hard_sigmoid")], (8, 3)
    ),
}


def normalizing(**options):
    """Return a model with a LayerNormalization between two recurrent layers."""
    lstm = LSTM(3, recurrent_activation="hard_sigmoid")
    encoder = Bidirectional(LSTM(4, return_sequences=True))
    return Sequential([encoder, LayerNormalization(**options), lstm, Dense(2)], (6, 3))


NORMALIZING = {
    "features": normalizing(),
    "timesteps": normalizing(axis=1, epsilon=0.1),
    "both": normalizing(axis=(1, 2)),
    "not_scaled": normalizing(scale=False),
    "not_centred": normalizing(center=False),
    "plain": normalizing(scale=False, center=False),
    "states": Sequential([LSTM(4), LayerNormalization(), Dense(2)], (None, 3)),
}


def written(spec, path, opset=17):
    from multilstm.conversion.onnx.model import onnx_model

    path.write_bytes(onnx_model(spec, discriminating_weights(spec), opset).model.SerializeToString())
    return path


def outputs(spec, weights, array):
    (name,) = spec.inputs
    step = Step("forward", Batch({name: array}), keep=("outputs",))
    return Executor(ReferenceEngine()).execute(Job(spec, weights, (step,), "float64")).answers[0].outputs


@pytest.mark.parametrize("label", SPECS)
def test_a_converted_model_is_read_back(label, tmp_path):
    spec = SPECS[label]
    loaded = multilstm.load(written(spec, tmp_path / "model.onnx"))
    assert loaded.spec.parameter_count == spec.parameter_count
    assert_same_outputs(loaded, spec)


def assert_same_outputs(loaded, spec):
    batch = next(model_case(spec).forward.batches())
    (array,) = batch.inputs.values()
    actual, desired = outputs(loaded.spec, loaded.weights, array), outputs(spec, discriminating_weights(spec), array)
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)  # an epsilon is a float32 number in the file


@pytest.mark.parametrize("label", NORMALIZING)
@pytest.mark.parametrize("opset", [14, 17, 18])
def test_a_layer_normalization_is_read_back(opset, label, tmp_path):
    spec = NORMALIZING[label]
    loaded = multilstm.load(written(spec, tmp_path / "model.onnx", opset))
    (layer,) = [layer for layer in loaded.spec.layers if isinstance(layer, LayerNormalization)]
    (original,) = [layer for layer in spec.layers if isinstance(layer, LayerNormalization)]
    assert (layer.axis, layer.center) == (original.axis, original.center)
    has_node = opset >= 17 and original.axis != 1
    assert layer.scale == (original.scale or has_node)  # the node always has a scale
    assert_same_outputs(loaded, spec)


@pytest.mark.parametrize("wrong", [None, "exponent", "axis", "epsilon"])
def test_powers_and_quotients_are_read_as_pytorch_writes_them(wrong, tmp_path):
    """A chain that computes something else is refused."""
    import onnx

    spec = NORMALIZING["features"]
    path = written(spec, tmp_path / "model.onnx", 14)
    model = onnx.load(path)
    square = next(node for node in model.graph.node if node.op_type == "Mul" and node.input[0] == node.input[1])
    root = next(node for node in model.graph.node if node.op_type == "Reciprocal")
    quotient = next(node for node in model.graph.node if root.output[0] in node.input)
    exponent = np.asarray(3.0 if wrong == "exponent" else 2.0, "float32")
    model.graph.initializer.append(onnx.numpy_helper.from_array(exponent, "exponent"))
    square.op_type, square.input[1] = "Pow", "exponent"
    quotient.op_type, quotient.input[1] = "Div", root.input[0]
    model.graph.node.remove(root)
    second = [node for node in model.graph.node if node.op_type == "ReduceMean"][1]
    if wrong == "axis":
        second.attribute[0].ints[:] = [1]
    if wrong == "epsilon":
        plus = next(node for node in model.graph.node if second.output[0] in node.input)
        plus.input[1] = square.input[0]
    onnx.save(model, path)
    if wrong is None:
        assert_same_outputs(multilstm.load(path), spec)
    else:
        with pytest.raises(InputError, match="begins no LayerNormalization"):
            multilstm.load(path)


def test_another_mean_is_refused_by_name(tmp_path):
    spec = Sequential([LSTM(2, return_sequences=True), GlobalAveragePooling1D()], (4, 3))
    with pytest.raises(InputError, match="begins no LayerNormalization"):
        multilstm.load(written(spec, tmp_path / "model.onnx"))


def test_sequence_lens_are_refused_by_name(tmp_path):
    spec = Sequential([Embedding(9, 3, mask_zero=True), LSTM(2)], (None,), input_dtype="int32")
    with pytest.raises(InputError, match="multilstm"):
        multilstm.load(written(spec, tmp_path / "model.onnx"))
