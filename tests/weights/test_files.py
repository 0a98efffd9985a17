import os

import numpy as np
import pytest
import safetensors.numpy

from multilstm.errors import InputError
from multilstm.spec import LSTM, Bidirectional, Dense, Embedding, Sequential, TimeDistributed
from multilstm.weights.files import load_weights, save_weights
from multilstm.weights.initializers import discriminating_weights
from multilstm.weights.layout import check_weights

STACK = Sequential([LSTM(4, return_sequences=True), LSTM(3), Dense(2)], input_shape=(None, 5))
EVERY = Sequential(
    [
        Embedding(9, 5),
        Bidirectional(LSTM(4, return_sequences=True)),
        LSTM(3, return_sequences=True, use_bias=False),
        TimeDistributed(Dense(2)),
    ],
    input_shape=(None,),
    input_dtype="int32",
)


# Checks ----------------------------------------------------------------------------------------------------------


def changed(**changes):
    weights = discriminating_weights(STACK)
    for name, value in changes.items():
        weights[name.replace("__", "/")] = value
    return {name: value for name, value in weights.items() if value is not None}


BAD = np.zeros((5, 16), "float32")
BAD[2, 3] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lstm__bias": None}, r"weights of model 'sequential': missing: 'lstm/bias'; expected 'lstm/kernel', "),
        ({"gru__bias": BAD}, "unknown: 'gru/bias'; expected 'lstm/kernel'"),
        ({"lstm__bias": None, "lstm__b": BAD}, "missing: 'lstm/bias'; unknown: 'lstm/b'; expected"),
        ({"lstm__kernel": np.zeros((5, 12))}, r"weight 'lstm/kernel': given shape \(5, 12\), expected \(5, 16\), in"),
        ({"lstm__kernel": np.zeros((16, 5))}, r"given shape \(16, 5\), .* it looks transposed"),
        ({"lstm__kernel": np.zeros(80)}, r"given shape \(80,\), expected \(5, 16\)"),
        (
            {"lstm__kernel": np.zeros((5, 16), int)},
            "weight 'lstm/kernel': given dtype int64, expected float32 or float64",
        ),
        ({"lstm__kernel": np.zeros((5, 16), complex)}, "dtype is complex128, expected numbers"),
        ({"lstm__kernel": np.full((5, 16), None)}, "dtype is object, expected numbers"),
        ({"lstm__kernel": BAD}, r"weight 'lstm/kernel': given nan at \[2, 3\], expected finite numbers"),
        ({"lstm__kernel": BAD + np.inf}, r"weight 'lstm/kernel': given inf at \[0, 0\], expected finite"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value[:24],
)
def test_check_weights_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        check_weights(STACK, changed(**changes))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_check_weights_accepts(dtype):
    check_weights(STACK, {name: values.astype(dtype) for name, values in discriminating_weights(STACK).items()})


# Files -----------------------------------------------------------------------------------------------------------


def assert_equal_weights(actual, desired):
    assert set(actual) == set(desired)
    for name, values in desired.items():
        assert actual[name].dtype == np.asarray(values).dtype.newbyteorder("=")
        np.testing.assert_array_equal(actual[name], values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_files_keep_every_bit(tmp_path, dtype):
    weights = {name: values.astype(dtype) for name, values in discriminating_weights(EVERY).items()}
    path = tmp_path / "weights.safetensors"
    save_weights(path, EVERY, weights)
    assert_equal_weights(load_weights(path), weights)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    "values",
    [
        np.arange(12, dtype="float32").reshape(3, 4).T,
        np.arange(12, dtype="float32").reshape(3, 4)[:, ::2],
        np.arange(12, dtype=">f4").reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.float64(3),
        np.zeros((0, 3)),
    ],
    ids=["transposed", "strided", "big-endian", "fortran", "scalar", "empty"],
)
def test_files_keep_arrays_however_they_lie_in_memory(tmp_path, values):
    save_weights(tmp_path / "w", None, {"a/b": values})
    assert_equal_weights(load_weights(tmp_path / "w"), {"a/b": values})


def test_a_file_is_replaced(tmp_path):
    path = str(tmp_path / "w")
    save_weights(path, None, {"a": np.zeros(2)})
    save_weights(path, None, {"b": np.ones(3)})
    assert_equal_weights(load_weights(path), {"b": np.ones(3)})


def test_weights_that_do_not_fit_are_not_written(tmp_path):
    with pytest.raises(InputError, match="missing: 'lstm/bias'"):
        save_weights(tmp_path / "w", STACK, changed(lstm__bias=None))
    assert os.listdir(tmp_path) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "w"
    save_weights(path, None, {"a": np.zeros(2)})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"cannot write '.*w': No space left on device"):
        save_weights(path, None, {"b": np.ones(3)})
    assert os.listdir(tmp_path) == ["w"]
    assert_equal_weights(load_weights(path), {"a": np.zeros(2)})


@pytest.mark.parametrize(
    "values", [np.full(2, None), np.array(["a"]), np.zeros(2, complex)], ids=["object", "text", "z"]
)
def test_dtypes_that_no_file_holds(tmp_path, values):
    with pytest.raises(InputError, match=r"weight 'a': dtype is .*, expected numbers"):
        save_weights(tmp_path / "w", None, {"a": values})
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot write '.*nowhere.*': No such file or directory"):
        save_weights(tmp_path / "nowhere" / "w", None, {"a": np.zeros(2)})


def safetensors_of(header, data=b""):
    return len(header).to_bytes(8, "little") + header + data


ENTRY = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read"),
        (b"not a file of weights", "cannot read"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "cannot read"),
        (safetensors_of(b'{"a":' + ENTRY + b"}"), "cannot read"),
        (safetensors_of(b'{"a":' + ENTRY + b',"a":' + ENTRY + b"}", b"\0" * 4), "gives the key 'a' twice"),
        (safetensors_of(b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', b"\0" * 4), "no dtype 'BF16'"),
        ((2**60).to_bytes(8, "little") + b"{}", "cannot read"),
    ],
    ids=["empty", "text", "hdf5", "cut-off", "twice", "bfloat16", "huge-header"],
)
def test_refuses_a_file(tmp_path, content, message):
    path = tmp_path / "w"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        load_weights(path)
    assert repr(str(path)) in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read '.*none': No such file or directory"):
        load_weights(tmp_path / "none")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"cannot read '.*': it is a folder"):
        load_weights(tmp_path)


def test_reads_a_file_of_another_program(tmp_path):
    safetensors.numpy.save_file({"a": np.arange(3.0)}, tmp_path / "w", {"made": "elsewhere"})
    assert_equal_weights(load_weights(tmp_path / "w"), {"a": np.arange(3.0)})


@pytest.mark.parametrize("weights", [[1], None, {3: np.ones(2)}], ids=["list", "none", "key"])
@pytest.mark.parametrize("graph", [STACK, None], ids=["of_a_model", "of_none"])
def test_weights_are_a_dict_by_name(tmp_path, graph, weights):
    with pytest.raises(
        InputError, match=r"weights.*: given (list, expected a dict|NoneType, exp|the key 3, expected n)"
    ):
        save_weights(tmp_path / "w", graph, weights)
    assert os.listdir(tmp_path) == []
