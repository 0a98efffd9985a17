"""Public reports on ports, conversions and old files: each is a test of the right answer, with the thread in its name.

Reports that another room tests:

- keras#12365: tests/conversion/test_inference.py
- tensorflow#65381: tests/migration/test_migrate.py, the row hard_sigmoid of the changes
- keras#23058: the ledger's row export_of_one_timestep
- unicode-org/lstm_word_segmentation#28: tests/files/test_hostile_protobuf.py, the metadata of a SavedModel
- PyTorchStepByStep#61: tests/files/test_hostile_pickle.py, a pickled module
"""

import io
import json
import pathlib
import zipfile

import h5py
import keras2_entries
import numpy as np
import pytest
import safetensors.numpy
from marks import needs
from small_models import run
from written_files import archive, by_layer, hdf5, keras_archive, legacy, weights_of

import multilstm
from multilstm.conversion import LSTMWeights, from_dialect, to_dialect
from multilstm.errors import MultilstmError, ParityError
from multilstm.explain.identify import identify
from multilstm.files.compiled import Compiled
from multilstm.jobs.job import Batch, Step
from multilstm.migration.code import migrated_source
from multilstm.spec import LSTM, Bidirectional, Dense, Embedding, Input, Masking, Model, Sequential, from_json
from multilstm.suite.targets import TARGETS

MADE = pathlib.Path(__file__).parent / "files" / "made"


def answers(spec, weights, arrays):
    """Return the reference's outputs in float64."""
    given = dict(zip(spec.inputs, arrays, strict=True))
    weights = {name: np.asarray(array, np.float64) for name, array in weights.items()}
    return run(spec, Step("forward", Batch(given), keep=("outputs",)), weights=weights).answers[0].outputs


def stored(path, content):
    path.write_bytes(content)
    return path


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def in_onnx_runtime(spec, weights):
    """Return a function that executes the model's ONNX file."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from multilstm.conversion.onnx.model import onnx_model

    session = onnxruntime.InferenceSession(onnx_model(spec, weights).model.SerializeToString())
    names = [each.name for each in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def test_keras_19089_a_functional_archive_of_keras_2_15_is_read(tmp_path):
    """The archive names `keras.src.engine.functional`, which Keras 3 cannot import."""
    with zipfile.ZipFile(MADE / "tf_keras-2.21.0.nested.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["config.json"] = members["config.json"].replace(b"tf_keras.src", b"keras.src")
    members["metadata.json"] = json.dumps({"keras_version": "2.15.0", "date_saved": "2024-01-24@00:00:00"}).encode()
    assert b"keras.src.engine.functional" in members["config.json"]
    loaded = multilstm.load(stored(tmp_path / "old.keras", archive(members)))
    assert loaded.provenance.version == "2.15.0"
    with np.load(MADE / "tf_keras-2.21.0.nested.npz") as arrays:
        (output,) = answers(loaded.spec, loaded.weights, [arrays["x"]])
        np.testing.assert_allclose(output, arrays["y"], rtol=3e-7, atol=3e-7)


def test_keras_9463_weights_of_a_bidirectional_cudnn_lstm_enter_an_lstm(tmp_path):
    spec = Sequential([Bidirectional(LSTM(4, name="inner"), name="both")], (None, 3))
    weights, cudnn = weights_of(spec), {}
    for direction in ("forward", "backward"):
        cell = LSTMWeights(*(weights[f"both/{direction}/{name}"] for name in LSTMWeights._fields))
        cudnn |= {f"both/{direction}/{name}": array for name, array in to_dialect(cell, "cudnn").items()}
    assert cudnn["both/forward/bias"].shape == (32,)
    path = stored(tmp_path / "old.h5", hdf5(legacy(by_layer(spec, cudnn))))
    loaded = multilstm.load(path, architecture=spec)
    assert all(np.array_equal(loaded.weights[name], array) for name, array in weights.items())


@pytest.mark.parametrize("timesteps", [5, 20])
@pytest.mark.parametrize("batch", [1, 3])
def test_keras_22076_an_onnx_file_takes_any_length(batch, timesteps):
    spec = Sequential([LSTM(16)], (None, 8))
    weights, x = weights_of(spec), inputs(batch, timesteps, 8)
    (actual,) = in_onnx_runtime(spec, weights)(x)
    np.testing.assert_allclose(actual, answers(spec, weights, [x])[0], rtol=0, atol=1e-5)


def test_keras_21390_an_lstm_becomes_a_node_of_onnx():
    spec = Sequential([LSTM(64)], (32, 256))
    weights, x = {name: 0.1 * array for name, array in weights_of(spec).items()}, inputs(2, 32, 256)
    (actual,) = in_onnx_runtime(spec, weights)(x)
    np.testing.assert_allclose(actual, answers(spec, weights, [x])[0], rtol=0, atol=1e-5)


def test_keras_onnx_89_the_order_of_onnx_explains_other_numbers():
    """One unit, one feature and ten timesteps, as in the report; ONNX's evaluator is the other program."""
    pytest.importorskip("onnx")
    from layouts_drawn import Problem
    from layouts_frameworks import onnx

    from multilstm.spec.arrays import State

    rng = np.random.default_rng(3)
    cell = LSTMWeights(*(rng.normal(size=shape) for shape in ((1, 4), (1, 4), (4,))))
    x, zeros = rng.normal(size=(2, 10, 1)), np.zeros((2, 1))
    recorded = onnx(Problem([[cell]], x, [[State(zeros, zeros)]], np.zeros((2, 10, 1)))).sequence
    arrays = {name: array[0] for name, array in to_dialect([[cell]], "onnx").items()}
    fits, _ = identify(arrays, x, recorded)
    assert [fit.convention.order for fit in fits] == ["iofc"]


def test_keras_10179_a_cell_of_tensorflow_1_adds_one_at_run_time():
    rng = np.random.default_rng(0)
    weights = LSTMWeights(*(rng.normal(size=shape) for shape in ((2, 12), (3, 12), (12,))))
    spec, x = Sequential([LSTM(3, return_sequences=True, name="a")], (None, 2)), rng.normal(size=(2, 4, 2))
    (recorded,) = answers(spec, {f"a/{name}": array for name, array in weights._asdict().items()}, [x])
    fits, _ = identify(to_dialect(weights, "tf1"), x, recorded)
    assert [(fit.convention.order, fit.convention.dialects) for fit in fits] == [("icfo", ("haiku", "tf1"))]
    ((cell,),) = from_dialect(to_dialect(weights, "tf1"), "tf1")
    np.testing.assert_allclose(cell.bias, weights.bias, rtol=0, atol=1e-15)


@pytest.mark.parametrize("half", ["forward", "backward"])
def test_candle_2351_both_directions_of_two_layers_of_pytorch_arrive(half, tmp_path):
    """Also discuss.pytorch.org 110741: two biases, `num_layers=2` and `_reverse`."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)
    path = tmp_path / "state.safetensors"
    path.write_bytes(safetensors.numpy.save({name: array.numpy() for name, array in lstm.state_dict().items()}))
    spec = Sequential([Bidirectional(LSTM(4, return_sequences=True)) for _ in range(2)], (None, 3))
    loaded, x = multilstm.load(path, architecture=spec), inputs(2, 6, 3)
    with torch.no_grad():
        desired = lstm(torch.tensor(x))[0].numpy()
    columns = slice(0, 4) if half == "forward" else slice(4, 8)
    (actual,) = answers(spec, loaded.weights, [x])
    np.testing.assert_allclose(actual[..., columns], desired[..., columns], rtol=0, atol=1e-6)


def test_pytorch_41774_lengths_of_packed_sequences_reach_onnx():
    torch = pytest.importorskip("torch")
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4, bidirectional=True, batch_first=True)
    layer = Bidirectional(LSTM(4, return_sequences=True), name="both")
    spec = Sequential([Masking(), layer], (None, 3))
    (cells,) = from_dialect({name: tensor.numpy() for name, tensor in lstm.state_dict().items()}, "torch")
    weights = {
        f"both/{direction}/{name}": array
        for direction, cell in zip(("forward", "backward"), cells, strict=True)
        for name, array in cell._asdict().items()
    }
    x, lengths = inputs(3, 7, 3), [7, 2, 5]
    for row, length in enumerate(lengths):
        x[row, length:] = 0
    with torch.no_grad():
        packed = pack_padded_sequence(torch.tensor(x), lengths, batch_first=True, enforce_sorted=False)
        desired = pad_packed_sequence(lstm(packed)[0], batch_first=True)[0].numpy()
    (actual,) = in_onnx_runtime(spec, weights)(x)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=1e-6)
    np.testing.assert_allclose(answers(spec, weights, [x])[0], desired, rtol=0, atol=1e-6)


def test_tensorflow_41023_states_as_inputs_and_outputs_stream():
    """The model of the report takes one timestep and its states, and returns the new states."""
    x, hidden, cell = Input((None, 6), name="x"), Input((4,), name="hidden"), Input((4,), name="cell")
    outputs = LSTM(4, return_sequences=True, return_state=True)(x, initial_state=[hidden, cell])
    spec = Model([x, hidden, cell], outputs)
    weights, sequence, zeros = weights_of(spec), inputs(2, 5, 6), np.zeros((2, 4), "float32")
    desired = answers(spec, weights, [sequence, zeros, zeros])
    step, states, written = in_onnx_runtime(spec, weights), [zeros, zeros], []
    for timestep in range(5):
        output, *states = step(sequence[:, timestep : timestep + 1], *states)
        written.append(output)
    for actual, wanted in zip((np.concatenate(written, 1), *states), desired, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5)


def test_keras_10626_an_input_shape_inside_of_a_bidirectional_counts():
    inner = keras2_entries.lstm(batch_input_shape=[None, 10, 10], units=10)
    wrapper = {"class_name": "Bidirectional", "config": {"name": "b", "layer": inner, "merge_mode": "concat"}}
    spec = from_json(keras2_entries.stack(wrapper))
    assert next(iter(spec.inputs.values())).shape == (10, 10)
    assert spec.output_shapes == ((None, 20),)


def test_introtodeeplearning_174_a_stateful_model_becomes_source_of_keras_3(tmp_path):
    config = keras2_entries.stack(keras2_entries.lstm(batch_input_shape=[1, 1, 1], stateful=True))
    loaded = multilstm.load(stored(tmp_path / "old.json", json.dumps(config).encode()))
    source = migrated_source(loaded)
    compile(source, "model.py", "exec")
    assert "batch_size=1" in source
    assert "stateful=True" in source
    assert "batch_input_shape" not in source


def test_keras_2809_the_three_arrays_of_consume_less_gpu_are_read(tmp_path):
    entry = {
        "class_name": "LSTM",
        "config": {"name": "a", "output_dim": 2, "inner_activation": "hard_sigmoid", "activation": "tanh",
                   "batch_input_shape": [None, 4, 3], "consume_less": "gpu"},
    }  # fmt: skip
    config = {"class_name": "Sequential", "config": [entry], "keras_version": "1.2.2"}
    spec = from_json(config)
    weights = weights_of(spec)
    arrays = {
        "a": {
            f"a_{short}": weights[f"a/{name}"]
            for short, name in (("W", "kernel"), ("U", "recurrent_kernel"), ("b", "bias"))
        }
    }
    content = hdf5(legacy(arrays, model_config=json.dumps(config), keras_version="1.2.2"))
    loaded = multilstm.load(stored(tmp_path / "old.h5", content))
    assert all(np.array_equal(loaded.weights[name], array) for name, array in weights.items())


def test_keras_18367_a_constant_initial_state_is_refused_with_the_reason(tmp_path):
    x, hidden, cell = Input((None, 3), name="x"), Input((4,), name="h"), Input((4,), name="c")
    text = json.loads(Model([x, hidden, cell], LSTM(4, name="a")(x, initial_state=[hidden, cell])).to_json())
    entry = text["config"]["layers"][-1]
    node = [["x", 0, 0, {"initial_state": [["_CONSTANT_VALUE", -1, [[0.5] * 4], {}]] * 2}]]
    old = {**text, "keras_version": "2.13.1"}
    old["config"]["layers"] = [layer for layer in text["config"]["layers"] if layer["name"] not in ("h", "c")]
    old["config"]["input_layers"] = [["x", 0, 0]]
    entry["inbound_nodes"] = [node]
    with pytest.raises(MultilstmError, match="initial_state"):
        multilstm.load(stored(tmp_path / "old.json", json.dumps(old).encode()))


def test_dsb2017_7_penalties_of_keras_1_have_other_names():
    penalty = {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.25}
    config = {"name": "a", "output_dim": 2, "batch_input_shape": [None, 4, 3], "W_regularizer": penalty}
    spec = from_json(
        {"class_name": "Sequential", "config": [{"class_name": "LSTM", "config": config}], "keras_version": "1.2.2"}
    )
    assert spec.regularizers["a/kernel"].l2 == 0.25


def test_keras_16348_an_archive_and_its_onnx_file_are_one_model(tmp_path):
    pytest.importorskip("onnx")
    from multilstm.conversion.onnx.model import onnx_model

    spec = Sequential([LSTM(10, name="a"), Dense(3, "softmax", name="b")], (49, 5))
    weights, x = weights_of(spec), inputs(2, 49, 5)
    first = multilstm.load(stored(tmp_path / "m.keras", keras_archive(spec, weights)))
    content = onnx_model(spec, weights).model.SerializeToString()
    second = multilstm.load(stored(tmp_path / "m.onnx", content))
    results = [answers(each.spec, each.weights, [x])[0] for each in (first, second)]
    np.testing.assert_allclose(results[1], results[0], rtol=0, atol=1e-12)


@needs("keras2")
def test_tfjs_8489_a_file_of_keras_2_is_one_that_tensorflow_js_reads():
    """TensorFlow.js wants `batch_input_shape`, dtypes as text and serialized objects of a class name and a config."""
    layers = [Embedding(30, 8), LSTM(6, return_sequences=True), LSTM(5), Dense(1, "sigmoid")]
    spec = Sequential(layers, (340,), input_dtype="int32")
    weights = {name: array.astype("float32") for name, array in weights_of(spec).items()}
    content = TARGETS["keras2"].files(spec, weights, Compiled())[".h5"]
    with h5py.File(io.BytesIO(content)) as file:
        config = json.loads(file.attrs["model_config"])
        names = [name for layer in file["model_weights"].values() for name in layer.attrs["weight_names"]]
    entries = config["config"]["layers"]
    assert [entry["class_name"] for entry in entries] == ["InputLayer", "Embedding", "LSTM", "LSTM", "Dense"]
    assert entries[0]["config"]["batch_input_shape"] == [None, 340]
    assert [entry["class_name"] for entry in entries if "batch_shape" in entry["config"]] == []
    assert {entry["config"]["dtype"] for entry in entries} == {"int32", "float32"}
    objects = [value for entry in entries for value in entry["config"].values() if isinstance(value, dict)]
    assert {kind for value in objects for kind in value} >= {"class_name", "config"}
    assert len(names) == len(spec.weight_shapes)


def machine_translation(mask_zero=True):
    """Return the textbook model of keras#20320, on batches of padded sentences."""
    source, target = (Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    _, *states = LSTM(5, return_state=True)(Embedding(11, 4, mask_zero=mask_zero)(source))
    decoded = LSTM(5, return_sequences=True)(Embedding(9, 3, mask_zero=mask_zero)(target), initial_state=states)
    return Model([source, target], Dense(9, "softmax")(decoded))


SENTENCES = {
    "source": np.array([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0], [7, 0, 0, 0, 0]], np.int32),
    "target": np.array([[1, 5, 2, 7], [1, 8, 0, 0], [1, 4, 3, 0]], np.int32),
}


@needs("keras2")
@needs("keras-tensorflow")
def test_keras_20320_both_generations_of_keras_give_one_answer_and_gradient():
    """Accuracy fell from 60 % to 10 % in the report. The layers and the masked loss of both generations agree today."""
    following = np.eye(9)[np.array([[5, 2, 7, 0], [8, 0, 0, 0], [4, 3, 0, 0]])]
    engines = ("keras2", "keras-tensorflow")
    report = multilstm.parity(
        machine_translation(), SENTENCES, targets=following, loss="categorical_crossentropy", engines=engines,
        dtypes=("float64",),
    )  # fmt: skip
    report.check()
    kinds = {engine: {cell.kind for cell in report.cells if cell.engine == engine} for engine in engines}
    assert all(found >= {"output", "hidden", "cell", "gradient"} for found in kinds.values()), kinds


def test_keras_20320_a_program_that_drops_the_masks_is_named():
    spec = machine_translation()
    weights = weights_of(spec)
    (recorded,) = answers(machine_translation(mask_zero=False), weights, SENTENCES.values())
    report = multilstm.parity(spec, SENTENCES, weights=weights, against=recorded, engines=("reference",))
    with pytest.raises(ParityError, match="as if no timestep were masked"):
        report.check()
