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
    Input,
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


def written(spec, path):
    from multilstm.conversion.onnx.model import onnx_model

    path.write_bytes(onnx_model(spec, discriminating_weights(spec)).model.SerializeToString())
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
    batch = next(model_case(spec).forward.batches())
    (array,) = batch.inputs.values()
    actual, desired = outputs(loaded.spec, loaded.weights, array), outputs(spec, discriminating_weights(spec), array)
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)  # an epsilon is a float32 number in the file


def test_sequence_lens_are_refused_by_name(tmp_path):
    spec = Sequential([Embedding(9, 3, mask_zero=True), LSTM(2)], (None,), input_dtype="int32")
    with pytest.raises(InputError, match="multilstm"):
        multilstm.load(written(spec, tmp_path / "model.onnx"))
