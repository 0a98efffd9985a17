"""Files that Keras 3, tf-keras and PyTorch wrote: the reference gives the answers of the library that wrote them.

`made/make.py` wrote the files, and recorded an input and the answer.
"""

import pathlib

import numpy as np
import pytest
import safetensors.numpy

import multilstm
from multilstm import LSTM, Bidirectional, Dense, Embedding, Sequential
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError, UsageError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import Conv1D

pytestmark = pytest.mark.usefixtures("parse_here")
MADE = pathlib.Path(__file__).with_name("made")
KERAS = MADE / "keras-3.15.1.json"
TORCH = Sequential([LSTM(2, return_sequences=True), LSTM(2, return_sequences=True),
                    Bidirectional(LSTM(2, return_sequences=True)), Dense(2)], input_shape=(None, 3))  # fmt: skip
ONNX = Sequential([LSTM(2, return_sequences=True), Bidirectional(LSTM(2, return_sequences=True)), Dense(3), Dense(2)],
                  input_shape=(None, 3))  # fmt: skip
CUDNN = Sequential([LSTM(2)], input_shape=(None, 3))
FILES = {
    "keras-3.0.5.keras": None,
    "keras-3.0.5.weights.h5": MADE / "keras-3.0.5.json",
    "keras-3.8.0.keras": None,
    "keras-3.8.0.h5": None,
    "keras-3.8.0.weights.h5": MADE / "keras-3.8.0.json",
    "keras-3.15.1.keras": None,
    "keras-3.15.1.h5": None,
    "keras-3.15.1.weights.h5": KERAS,
    "tf_keras-2.21.0.keras": None,
    "tf_keras-2.21.0.h5": None,
    "tf_keras-2.21.0.weights.h5": MADE / "tf_keras-2.21.0.json",
    "tf_keras-2.21.0.legacy_weights.h5": KERAS,
    "keras-3.15.1.nested.keras": None,
    "keras-3.15.1.nested.h5": None,
    "keras-3.15.1.nested.weights.h5": MADE / "keras-3.15.1.nested.json",
    "keras-3.15.1.documents.keras": None,
    "keras-3.15.1.documents.h5": None,
    "keras-3.15.1.documents.weights.h5": MADE / "keras-3.15.1.documents.json",
    "tf_keras-2.21.0.documents.keras": None,
    "tf_keras-2.21.0.documents.h5": None,
    "tf_keras-2.21.0.documents.weights.h5": MADE / "tf_keras-2.21.0.documents.json",
    "keras-3.15.1.operations.keras": None,
    "tf_keras-2.21.0.nested.keras": None,
    "tf_keras-2.21.0.nested.h5": None,
    "tf_keras-2.21.0.nested.weights.h5": MADE / "tf_keras-2.21.0.nested.json",
    "tf_keras-2.21.0.cudnn_model.h5": None,
    "tf_keras-2.21.0.cudnn.h5": CUDNN,
    "torch-2.13.0.pt": TORCH,
    "torch-2.13.0.old.pt": TORCH,
    "torch-2.13.0.shared.pt": TORCH,
    "torch-2.13.0.ckpt": TORCH,
    "torch-2.13.0.safetensors": TORCH,
    "onnx-1.23.2.onnx": ONNX,
}


def answer(loaded, x):
    batch = Batch({next(iter(loaded.spec.inputs)): x})
    job = Job(loaded.spec, loaded.weights, (Step("forward", batch, keep=("outputs",)),), dtype="float64")
    return Executor(ReferenceEngine()).execute(job).answers[0].outputs[0]


def recorded(name):
    """Return the file with the answer of the library: that of the longest name with which `name` begins."""
    return max((path for path in MADE.glob("*.npz") if name.startswith(path.stem)), key=lambda path: len(path.stem))


@pytest.mark.parametrize(("name", "architecture"), FILES.items(), ids=FILES)
def test_gives_the_answer_of_the_library_that_wrote_it(name, architecture):
    loaded = multilstm.load(MADE / name, architecture=architecture)
    with np.load(recorded(name)) as arrays:
        np.testing.assert_allclose(answer(loaded, arrays["x"]), arrays["y"], rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("name", ["keras-3.0.5", "keras-3.8.0", "keras-3.15.1", "tf_keras-2.21.0"])
def test_states_the_version_that_wrote_the_file(name):
    assert multilstm.load(MADE / f"{name}.keras").provenance.version == name.split("-")[1]


def test_a_loaded_architecture_keeps_the_models_inside_it():
    architecture = multilstm.load(MADE / "keras-3.15.1.nested.json")
    path = MADE / "keras-3.15.1.nested.weights.h5"
    weights = multilstm.load(path, architecture=architecture).weights
    assert weights.keys() == architecture.spec.weight_shapes.keys()


def test_says_that_weights_of_cudnn_were_converted():
    notes = multilstm.load(MADE / "tf_keras-2.21.0.cudnn.h5", architecture=CUDNN).provenance.notes
    assert notes[-1] == "layer 'lstm': the weights of a CuDNNLSTM (two biases, transposed gates) were converted"


def test_every_file_is_read_by_a_test():
    read = {*FILES, "make.py", "keras-3.15.1.opaque.keras", "keras-3.15.1.opaque.h5"}  # tests/suite reads the last two
    assert {path.name for path in MADE.iterdir() if path.suffix not in (".npz", ".json", "")} == read


def test_describes_the_lstms_of_a_state_dict():
    below = r"'below layer 0' \(LSTM: 3 features, 2 units, one direction\), 'below layer 1' \(LSTM: 2 features, 2 units"
    message = below + r".*, 'above' \(LSTM: 2 features, 2 units, both directions\), 'head' \(weight"
    with pytest.raises(UsageError, match=message):
        multilstm.load(MADE / "torch-2.13.0.pt")


OTHERS = {
    "a_layer_more": (Sequential([LSTM(2), Dense(2), Dense(3)], input_shape=(None, 3)), "4 modules .* has 3 layers"),
    "one_direction": (
        Sequential([*(LSTM(2, return_sequences=True) for _ in range(3)), Dense(2)], input_shape=(None, 3)),
        r"LSTM 'lstm_2' \(read from 'above'\): given 6 weights",
    ),
    "units": (
        Sequential([LSTM(3, return_sequences=True), LSTM(2), Dense(1), Dense(2)], input_shape=(None, 3)),
        r"LSTM 'lstm' \(read from 'below layer 0'\): kernel has the shape \(3, 8\), expected \(3, 12\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), OTHERS.values(), ids=OTHERS)
def test_refuses_a_state_dict_that_does_not_fit(spec, message):
    with pytest.raises(InputError, match=message):
        multilstm.load(MADE / "torch-2.13.0.pt", architecture=spec)


def state_dict(folder, modules):
    """Write a safetensors file of Linear modules; safetensors sorts them by name."""
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in modules.items():
        tensors |= {f"{name}.weight": rng.normal(size=shape[::-1]), f"{name}.bias": rng.normal(size=shape[1])}
    (folder / "state.safetensors").write_bytes(safetensors.numpy.save(tensors))
    return folder / "state.safetensors", tensors


def test_sorted_names_are_assigned_by_shape(tmp_path):
    path, tensors = state_dict(tmp_path, {"head": (4, 2), "input": (3, 4)})
    loaded = multilstm.load(path, architecture=Sequential([Dense(4), Dense(2)], input_shape=(3,)))
    np.testing.assert_array_equal(loaded.weights["dense/kernel"], tensors["input.weight"].T)


def test_sorted_names_that_fit_twice_are_refused(tmp_path):
    path, _ = state_dict(tmp_path, {"head": (3, 3), "input": (3, 3)})
    with pytest.raises(InputError, match=r"more than one way.*give the layers the names of the modules"):
        multilstm.load(path, architecture=Sequential([Dense(3), Dense(3)], input_shape=(3,)))


def test_equal_names_decide(tmp_path):
    path, tensors = state_dict(tmp_path, {"head": (3, 3), "input": (3, 3)})
    spec = Sequential([Dense(3, name="input"), Dense(3, name="head")], input_shape=(3,))
    loaded = multilstm.load(path, architecture=spec)
    np.testing.assert_array_equal(loaded.weights["input/kernel"], tensors["input.weight"].T)
    assert "by name" in loaded.provenance.notes[0]


def test_weights_of_multilstm_are_read(tmp_path):
    weights = multilstm.initial_weights(TORCH)
    multilstm.save_weights(tmp_path / "w", TORCH, weights)
    loaded = multilstm.load(tmp_path / "w", architecture=TORCH)
    assert loaded.weights.keys() == weights.keys()
    assert all(np.array_equal(loaded.weights[name], array) for name, array in weights.items())


def test_embeddings_and_convolutions_of_pytorch(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {"table.weight": rng.normal(size=(7, 3)), "windows.weight": rng.normal(size=(4, 3, 2)),
               "windows.bias": rng.normal(size=4)}  # fmt: skip
    (tmp_path / "w").write_bytes(safetensors.numpy.save(tensors))
    spec = Sequential([Embedding(7, 3, name="e"), Conv1D(4, 2, name="c")], input_shape=(5,), input_dtype="int32")
    weights = multilstm.load(tmp_path / "w", architecture=spec).weights
    np.testing.assert_array_equal(weights["e/embeddings"], tensors["table.weight"])
    np.testing.assert_array_equal(weights["c/kernel"], tensors["windows.weight"].transpose(2, 1, 0))
