"""Models of Keras on Theano, which pads otherwise than TensorFlow, and so than a spec, where padding is `same`.

Theano puts `kernel_size // 2` zeros in front of a sequence, TensorFlow `(kernel_size - 1) // 2`, or fewer with strides.
The source is keras/backend/theano_backend.py of Keras 1.2.2 and 2.1.6.
"""

from __future__ import annotations

from typing import Any

from multilstm.errors import InputError
from multilstm.spec import ConvLSTM2D, Graph, Layer
from multilstm.spec.layers import AveragePooling1D, AveragePooling2D, Conv1D, Conv2D, MaxPooling1D, MaxPooling2D

__all__ = ["check_theano"]


def check_theano(spec: Graph) -> None:
    """Raise InputError for a layer that Theano pads otherwise."""
    for layer in spec.layers:
        for part in layer.nested:
            if reason := _difference(part):
                raise InputError(
                    f"{layer.label}: {reason}, and the file is of Keras on Theano, which then pads otherwise than all "
                    f"other backends; use a layer that pads with zeros and padding='valid', and save the model again"
                )


def _difference(layer: Layer) -> str:
    """Return the reason why the zeros of a layer stand in other places; empty without one."""
    options: Any = layer
    if isinstance(layer, MaxPooling1D | MaxPooling2D | AveragePooling1D | AveragePooling2D):
        return "it pools with padding='same'" if options.padding == "same" else ""
    if isinstance(layer, ConvLSTM2D) and _is_even(layer):  # the product with the hidden state has the padding `same`
        return f"its kernel_size is {options.kernel_size}"
    if not isinstance(layer, Conv1D | Conv2D | ConvLSTM2D) or options.padding != "same":
        return ""
    if _is_even(layer) or max((*options.strides, *options.dilation_rate)) > 1:
        return "it has padding='same' with an even kernel_size, strides or a dilation_rate"
    return ""


def _is_even(layer: Any) -> bool:
    return any(size % 2 == 0 for size in layer.kernel_size)
