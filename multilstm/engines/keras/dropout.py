"""Dropout in the Keras engines: masks are inputs of the model, so that every backend drops the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from multilstm.errors import UnsupportedError
from multilstm.spec import Graph


def mask_input(name: str) -> str:
    """The name of the model's input that holds the dropout mask of that name."""
    return f"mask.{name.replace('/', '.')}"


class _WithMasks(keras.layers.Layer):  # type: ignore[misc]
    """A layer that takes `[values, mask, ...]`, and gives an array of the values' shape and Keras mask."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the values."""
        return mask[0] if mask is not None else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the values."""
        return input_shape[0]


class GivenDropout(_WithMasks):
    """Dropout whose mask is an input: multiplies by it in training, does nothing otherwise."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """`[values, mask]`, both of one shape, to that shape."""
        values, mask = inputs
        return values * mask if training else values


class GivenLSTMDropout(_WithMasks):
    """Stands before an LSTM, or a Bidirectional, whose dropout masks are inputs; passes on what that takes.

    Keras's cells draw their masks once a call, keep them in `_dropout_mask` and `_recurrent_dropout_mask` over all
    timesteps, and forget them at its end. What they find there at its beginning they take for drawn.

    Args:
        receive: puts the masks there.
    """

    def __init__(self, receive: Callable[[list[Any]], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._receive = receive

    def call(self, inputs: Any, training: bool = False) -> Any:
        """`[values, mask, ...]` to the values."""
        values, *masks = inputs
        if training:
            self._receive(masks)
        return values


def refuse_in_plain_keras(spec: Graph) -> None:
    """Refuses what Keras's own LSTM does not train as its arguments say.

    Raises:
        UnsupportedError: for a dropout with `implementation=1`, where Keras 3.15.1 fails or takes 2 for it.
    """
    for name, lstm in spec.lstms.items():
        if not lstm.dropout or lstm.recurrent_dropout or lstm.implementation == 2:
            continue
        reason = None
        if "/" in name:
            reason = "Bidirectional makes copies of its layer that forget implementation=1"
        elif lstm.use_cudnn is not False:
            reason = f"it fails in training with use_cudnn={lstm.use_cudnn!r}, and knows only False here"
        if reason is not None:
            raise UnsupportedError(
                f"plain Keras: LSTM {name!r} has dropout={lstm.dropout} and implementation=1: {reason}; compare the "
                f"portable layers, or give implementation=2"
            )
