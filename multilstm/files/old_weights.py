"""Weights of Keras 1 and of cuDNN's layers, in the layout of Keras 3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multilstm.spec import LSTM, Conv1D, Layer
from multilstm.spec.arrays import Array

__all__ = ["as_keras_3"]

KERAS_1_ORDER = (0, 2, 1, 3)  # Keras 1 stores the gates i, c, f, o; Keras 2 and 3 the order i, f, c, o


def as_keras_3(layer: Layer, arrays: Sequence[Array], backend: str | None = None) -> tuple[Sequence[Array], str]:
    """Return the weights of a layer in Keras 3's layout, and a sentence on the conversion, empty without one.

    Args:
        layer: the layer that takes the weights.
        arrays: the layer's arrays in the order of the file. Arrays that fit no older layout are returned as they are.
        backend: Keras's backend, if the file states it.
    """
    if isinstance(layer, Conv1D) and arrays:
        return _convolution(layer, arrays, backend)
    lstms = layer.lstms
    if len(lstms) == 2 and len(arrays) % 2 == 0:
        half = len(arrays) // 2
        parts = [_lstm(lstm, part) for lstm, part in zip(lstms.values(), (arrays[:half], arrays[half:]), strict=True)]
        return [array for part, _ in parts for array in part], parts[0][1]
    if len(lstms) == 1:
        return _lstm(next(iter(lstms.values())), arrays)
    return arrays, ""


def _lstm(lstm: LSTM, arrays: Sequence[Array]) -> tuple[Sequence[Array], str]:
    if len(arrays) == 12 and all(array.ndim == (1 if number % 3 == 2 else 2) for number, array in enumerate(arrays)):
        return _from_keras_1(arrays), "the twelve arrays of Keras 1 (gates i, c, f, o) were joined"
    if len(arrays) == 3 and arrays[2].shape == (8 * lstm.units,) and lstm.use_bias:
        return _from_cudnn(arrays), "the weights of a CuDNNLSTM (two biases, transposed gates) were converted"
    return arrays, ""


def _convolution(layer: Conv1D, arrays: Sequence[Array], backend: str | None) -> tuple[Sequence[Array], str]:
    """Convert a kernel of Keras 1, which has four axes, and one of Theano, which reverses it in the computation.

    The rules are those of `preprocess_weights_for_loading` of Keras 2.2 (keras/engine/saving.py).
    """
    kernel, *bias = arrays
    remarks = []
    if kernel.ndim == 4:
        if kernel.shape[:2] != (*layer.kernel_size, 1) or kernel.shape[3] != layer.filters:
            kernel = kernel.transpose(2, 3, 1, 0)  # the oldest files: [filters, features, kernel_size, 1]
        kernel = kernel[:, 0]
        remarks.append("the kernel of Keras 1 lost its axis of size 1")
        if backend is None:
            remarks.append("the file does not state the backend; if it was Theano, reverse the kernel in time")
    if backend == "theano":
        kernel = kernel[::-1]
        remarks.append("the kernel was reversed in time, since Theano reverses it in the computation")
    return [kernel, *bias], "; ".join(remarks)


def _from_keras_1(arrays: Sequence[Array]) -> list[Array]:
    """Join `W, U, b` of each gate (keras-1.2/keras/layers/recurrent.py)."""
    gates = [arrays[3 * gate : 3 * gate + 3] for gate in KERAS_1_ORDER]
    return [np.concatenate([gate[kind] for gate in gates], axis=-1) for kind in range(3)]


def _from_cudnn(arrays: Sequence[Array]) -> list[Array]:
    """Convert as `_convert_rnn_weights` of tf-keras: cuDNN holds each gate transposed, and adds two biases."""
    kernel, recurrent, bias = arrays
    kernels = [gate.T.reshape(gate.shape, order="F") for gate in np.split(kernel, 4, axis=1)]
    recurrents = [gate.T for gate in np.split(recurrent, 4, axis=1)]
    return [np.concatenate(kernels, axis=1), np.concatenate(recurrents, axis=1), np.sum(np.split(bias, 2), axis=0)]
