"""Weights of Keras 1 and cuDNN: converted, or returned as they are where no layer of these programs has them."""

import numpy as np
import pytest
import written_files
from written_files import by_layer, hdf5, legacy

from multilstm import GRU, LSTM, Bidirectional, Sequential, SimpleRNN, load
from multilstm.errors import InputError
from multilstm.files.old_weights import as_keras_3
from multilstm.spec import BatchNormalization, Conv1D, ConvLSTM2D

KERAS_1 = [(3, 2), (2, 2), (2,)]
CUDNN = [(3, 8), (2, 8), (16,)]


def changed(shapes, number, shape):
    return [shape if index == number else other for index, other in enumerate(shapes)]


RECURRENT = {
    "gates_of_other_features": (LSTM(2), changed(KERAS_1 * 4, 3, (4, 2))),
    "gates_of_other_units": (LSTM(2), changed(changed(KERAS_1 * 4, 2, (1,)), 5, (3,))),  # the sum is right
    "a_number": (LSTM(2), changed(KERAS_1 * 4, 0, ())),
    "gru": (GRU(2), changed(KERAS_1 * 3, 8, (3,))),
    "cudnn_kernel_not_divisible": (LSTM(2), changed(CUDNN, 0, (3, 7))),
    "cudnn_kernel_of_one_axis": (LSTM(2), changed(CUDNN, 0, (8,))),
    "cudnn_recurrent_of_other_units": (LSTM(2), changed(CUDNN, 1, (3, 8))),
}


@pytest.mark.parametrize(("layer", "shapes"), RECURRENT.values(), ids=RECURRENT)
def test_recurrent_weights_of_other_shapes_are_not_converted(layer, shapes):
    arrays = [np.zeros(shape) for shape in shapes]
    assert as_keras_3(layer, arrays) == (arrays, "")


@pytest.mark.parametrize(("layer", "shapes"), [(LSTM(2), KERAS_1 * 4), (GRU(2), KERAS_1 * 3), (LSTM(2), CUDNN)])
def test_the_unchanged_shapes_are_converted(layer, shapes):
    assert as_keras_3(layer, [np.zeros(shape) for shape in shapes])[1]


KERNELS = {"two_rows": (3, 2, 2, 4), "none": (3, 0, 2, 4), "a_number": ()}


@pytest.mark.parametrize("backend", ["theano", "tensorflow"])
@pytest.mark.parametrize("shape", KERNELS.values(), ids=KERNELS)
def test_kernels_of_other_shapes_keep_them(shape, backend):
    arrays, _ = as_keras_3(Conv1D(4, 3), [np.zeros(shape)], backend)
    assert arrays[0].shape == shape


def weights_of(layer):
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in layer.weight_shapes((None, None, 5)).values()]


def keras_1(weights, units):
    """Return `W, U, b` of each gate, in the order z, r, h."""
    return [array[..., gate * units : (gate + 1) * units] for gate in range(3) for array in weights]


def cudnn(weights):
    """Return the weights as tf-keras converts them for cuDNN (`_convert_rnn_weights`)."""
    kernel, recurrent, bias = weights
    kernels = [gate.T.reshape(gate.shape) for gate in np.split(kernel, 3, axis=1)]
    return [np.hstack(kernels), np.hstack([gate.T for gate in np.split(recurrent, 3, axis=1)]), bias.ravel()]


@pytest.mark.parametrize("both", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("way", ["keras_1", "cudnn"])
def test_a_gru(way, both):
    layer = GRU(4, reset_after=way == "cudnn")
    parts = [weights_of(layer)] * (2 if both else 1)
    arrays = [array for part in parts for array in (keras_1(part, 4) if way == "keras_1" else cudnn(part))]
    converted, remark = as_keras_3(Bidirectional(layer) if both else layer, arrays)
    for actual, desired in zip(converted, [array for part in parts for array in part], strict=True):
        np.testing.assert_array_equal(actual, desired)
    assert remark in (
        "the nine arrays of Keras 1 (gates z, r, h) were joined",
        "the weights of a CuDNNGRU (two biases, transposed gates) were converted",
    )


@pytest.mark.parametrize("layer", [GRU(4, reset_after=False), SimpleRNN(4)], ids=lambda layer: layer.class_name)
def test_weights_of_a_layer_that_cudnn_does_not_compute_stay(layer):
    arrays = [*weights_of(layer)[:2], np.zeros(2 * 4 * layer.gate_count)]
    assert as_keras_3(layer, arrays) == (arrays, "")


@pytest.mark.parametrize("backend", ["tensorflow", "theano"])
def test_weights_of_a_conv_lstm_of_keras_1(backend):
    """Twelve arrays in the order i, c, f, o; Theano reverses rows and columns of the kernels."""
    layer = ConvLSTM2D(2, (3, 2))
    kernel, recurrent, bias = desired = [np.random.default_rng(2).normal(size=shape) for shape in
                                         layer.weight_shapes((None, None, 6, 5, 4)).values()]  # fmt: skip
    given = [kernel, recurrent, bias]
    if backend == "theano":
        given = [kernel[::-1, ::-1], recurrent[::-1, ::-1], bias]
    old = [array[..., 2 * gate : 2 * gate + 2] for gate in (0, 2, 1, 3) for array in given]
    arrays, remark = as_keras_3(layer, old, backend)
    assert all((actual == expected).all() for actual, expected in zip(arrays, desired, strict=True))
    assert remark.startswith("the twelve arrays of Keras 1 (gates i, c, f, o) were joined")
    assert ("reversed in rows and columns" in remark) is (backend == "theano")


NORMALIZATION = ("gamma", "beta", "running_mean")
STATISTICS = np.asarray([2.0, 3.0, 4.0], np.float32)


@pytest.fixture
def normalized(tmp_path):
    """Return a function that loads the moving variance of a BatchNormalization from a file of Keras 1."""
    spec = Sequential([LSTM(3, name="a"), BatchNormalization(name="norm", epsilon=0.01)], input_shape=(None, 2))

    def loaded(version, last="running_std", given=None):
        weights = {**written_files.weights_of(spec), "norm/moving_variance": STATISTICS}
        lists = by_layer(spec, weights)
        arrays = lists["norm"].values()
        lists["norm"] = dict(zip((f"norm_{name}" for name in (*NORMALIZATION, last)), arrays, strict=True))
        path = tmp_path / "old.h5"
        path.write_bytes(hdf5(legacy(lists, **({} if version is None else {"keras_version": version}))))
        return load(path, architecture=spec, keras_version=given).weights["norm/moving_variance"]

    return loaded


@pytest.mark.parametrize("version", ["0.3.3", "1.0.5"])
def test_deviations_become_variances(normalized, version):
    inputs = np.linspace(-1, 1, 3)
    np.testing.assert_allclose(inputs / np.sqrt(normalized(version) + 0.01), inputs / (STATISTICS + 0.01), rtol=1e-6)


@pytest.mark.parametrize(("version", "name"), [("1.0.6", "running_std"), ("1.2.2", "running_std"), (None, "variance")])
def test_variances_stay(normalized, version, name):
    np.testing.assert_array_equal(normalized(version, last=name), STATISTICS)


def test_deviations_or_variances_of_an_unknown_version_are_asked_for(normalized):
    for version in (None, "1", "1.0"):
        with pytest.raises(InputError, match=r"running_std, which is a deviation before Keras 1\.0\.6"):
            normalized(None, given=version)
    np.testing.assert_array_equal(normalized(None, given="1.2"), STATISTICS)
    assert normalized(None, given="1.0.5")[0] > STATISTICS[0]
