"""Weights of Keras 1 and of cuDNN's layers, in the layout of Keras 3."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from multilstm.conversion.operations import CuDNN
from multilstm.errors import InputError
from multilstm.spec import GRU, LSTM, Conv1D, Conv2D, ConvLSTM2D, Layer, Normalization, TimeDistributed
from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent

__all__ = ["as_keras_3", "from_deviations", "keras_1_count"]

# The order in which Keras 1 stores the gates: LSTM i, c, f, o, which Keras 2 and 3 hold as i, f, c, o; GRU z, r, h.
REVERSED_IMAGE = "the kernels were reversed in rows and columns, since Theano reverses them in the computation"
DEVIATIONS_UNTIL = (1, 0, 6)  # the first version whose BatchNormalization holds variances
KERAS_1_ORDER = {LSTM: (0, 2, 1, 3), ConvLSTM2D: (0, 2, 1, 3), GRU: (0, 1, 2)}


def as_keras_3(layer: Layer, arrays: Sequence[Array], backend: str | None = None) -> tuple[Sequence[Array], str]:
    """Return the weights of a layer in Keras 3's layout, and a sentence on the conversion, empty without one.

    Args:
        layer: the layer that takes the weights.
        arrays: the layer's arrays in the order of the file. Arrays that fit no older layout are returned as they are.
        backend: Keras's backend, if the file states it.
    """
    layer = _distributed(layer)
    if isinstance(layer, Conv1D) and arrays:
        return _convolution(layer, arrays, backend)
    if isinstance(layer, Conv2D) and backend == "theano" and arrays and arrays[0].ndim == 4:
        kernel, *bias = arrays
        return [kernel[::-1, ::-1], *bias], REVERSED_IMAGE
    if isinstance(layer, Normalization):
        return [array for array in arrays if array.dtype.kind == "f"], ""  # without the counter of `adapt`
    layers = tuple(layer.recurrent.values())
    if not layers or len(arrays) % len(layers):
        return arrays, ""
    size = len(arrays) // len(layers)
    parts = [_converted(part, arrays[k * size : (k + 1) * size], backend) for k, part in enumerate(layers)]
    return [array for part, _ in parts for array in part], parts[0][1]


def from_deviations(layer: Layer, arrays: Sequence[Array], version: str | None) -> tuple[Sequence[Array], str]:
    """Return the weights of a BatchNormalization whose last array the file calls `running_std`, and a sentence.

    Before Keras 1.0.6 it holds deviations, and the layer divides by `running_std + epsilon`. From 1.0.6 to 1.2 it holds
    variances (keras/layers/normalization.py).

    Args:
        layer: the layer.
        arrays: its arrays, of which the last is `running_std`.
        version: the version of Keras that computed them; None: unknown.

    Raises:
        InputError: for an unknown version, and one that does not decide it, such as 1.
    """
    number = () if version is None else tuple(map(int, re.findall(r"\d+", version)[:3]))
    if number == DEVIATIONS_UNTIL[: len(number)] and len(number) < len(DEVIATIONS_UNTIL):
        raise InputError(
            f"{layer.label}: the file holds running_std, which is a deviation before Keras 1.0.6 and a variance since; "
            f"its version is {version or 'not known'}; give it whole, such as keras_version='1.0.5'"
        )
    if number >= DEVIATIONS_UNTIL:
        return arrays, ""
    *others, deviation = arrays
    epsilon = getattr(layer, "epsilon", 0.0)
    variance = np.asarray((deviation.astype(np.float64) + epsilon) ** 2 - epsilon, deviation.dtype)
    return [*others, variance], "its running_std, a deviation before Keras 1.0.6, was made a variance"


def keras_1_count(layer: Layer, count: int) -> int:
    """Return the number of arrays of a layer in Keras 1, which has W, U and b for each gate; `count` in Keras 3."""
    parts = _distributed(layer).recurrent.values()
    return 3 * sum(len(KERAS_1_ORDER.get(type(part), (0,))) for part in parts) or count


def _distributed(layer: Layer) -> Layer:
    """Return the layer inside of a TimeDistributed, whose weights the file holds; else the layer."""
    return _distributed(layer.layer) if isinstance(layer, TimeDistributed) else layer


def _converted(layer: Recurrent, arrays: Sequence[Array], backend: str | None) -> tuple[Sequence[Array], str]:
    order = KERAS_1_ORDER.get(type(layer), ())
    shapes, units = [array.shape for array in arrays], layer.units
    window = layer.kernel_size if isinstance(layer, ConvLSTM2D) else ()
    features = shapes[0][: len(window) + 1] if shapes else ()
    remarks = []
    if order and shapes == [(*features, units), (*window, units, units), (units,)] * len(order):
        held = "i, c, f, o" if len(order) == 4 else "z, r, h"
        count = "twelve" if len(order) == 4 else "nine"
        arrays = _from_keras_1(arrays, order)
        remarks.append(f"the {count} arrays of Keras 1 (gates {held}) were joined")
    if window:
        return _images(arrays, backend, remarks)
    if remarks:
        return arrays, remarks[0]
    columns = layer.gate_count * units
    computed = not isinstance(layer, GRU) or layer.reset_after  # by cuDNN
    if order and computed and shapes == [(*features, columns), (units, columns), (2 * columns,)] and layer.use_bias:
        kind = f"a CuDNN{layer.class_name} (two biases, transposed gates)"
        return _from_cudnn(layer, arrays), f"the weights of {kind} were converted"
    return arrays, ""


def _images(arrays: Sequence[Array], backend: str | None, remarks: list[str]) -> tuple[Sequence[Array], str]:
    """Convert the kernels of a ConvLSTM2D, which Theano reverses in the computation; see `_convolution`."""
    if backend == "theano" and len(arrays) > 1 and all(array.ndim == 4 for array in arrays[:2]):
        arrays = [*(kernel[::-1, ::-1] for kernel in arrays[:2]), *arrays[2:]]
        remarks.append(REVERSED_IMAGE)
    return arrays, "; ".join(remarks)


def _convolution(layer: Conv1D, arrays: Sequence[Array], backend: str | None) -> tuple[Sequence[Array], str]:
    """Convert a kernel of Keras 1, which has four axes, and one of Theano, which reverses it in the computation.

    The rules are those of `preprocess_weights_for_loading` of Keras 2.2 (keras/engine/saving.py).
    """
    kernel, *bias = arrays
    remarks = []
    if kernel.ndim == 4:
        if kernel.shape[:2] != (*layer.kernel_size, 1) or kernel.shape[3] != layer.filters:
            kernel = kernel.transpose(2, 3, 1, 0)  # the oldest files: [filters, features, kernel_size, 1]
        if kernel.shape[1] != 1:
            return arrays, ""
        kernel = kernel[:, 0]
        remarks.append("the kernel of Keras 1 lost its axis of size 1")
        if backend is None:
            remarks.append("the file does not state the backend; if it was Theano, reverse the kernel in time")
    if backend == "theano" and kernel.ndim:
        kernel = kernel[::-1]
        remarks.append("the kernel was reversed in time, since Theano reverses it in the computation")
    return [kernel, *bias], "; ".join(remarks)


def _from_keras_1(arrays: Sequence[Array], order: Sequence[int]) -> list[Array]:
    """Join `W, U, b` of each gate (keras-1.2/keras/layers/recurrent.py)."""
    gates = [arrays[3 * gate : 3 * gate + 3] for gate in order]
    return [np.concatenate([gate[kind] for gate in gates], axis=-1) for kind in range(3)]


def _from_cudnn(layer: Recurrent, arrays: Sequence[Array]) -> list[Array]:
    """Convert as `_convert_rnn_weights` of tf-keras: cuDNN holds each gate transposed, and has two biases.

    Keras's LSTM adds them. Its GRU with reset_after has both.
    """
    kernel, recurrent, bias = arrays
    kernels = CuDNN(gates=layer.gate_count).undo({"kernel": kernel, "recurrent_kernel": recurrent})
    biases = bias.reshape(2, -1)
    return [*kernels.values(), biases if len(layer.bias_shape) == 2 else biases.sum(axis=0)]
