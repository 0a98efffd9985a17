"""Weights of Keras 1 and cuDNN that no layer of these programs has: returned as they are, so that the check refuses."""

import numpy as np
import pytest

from multilstm import GRU, LSTM
from multilstm.files.old_weights import as_keras_3
from multilstm.spec import Conv1D

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
