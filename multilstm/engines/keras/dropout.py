"""Dropout in the Keras engines: masks are inputs of the model, so every backend drops the same values.

The classes are mixins without a base class of Keras, because Keras 2 and Keras 3 have a `Layer` each.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from multilstm.errors import UnsupportedError
from multilstm.spec import GRU, LSTM, Graph


def mask_input(name: str) -> str:
    """Return the name of the model's input for a dropout mask."""
    return f"mask.{name.replace('/', '.')}"


class _WithMasks:
    """Mixin for a layer that takes `[values, mask, ...]` and returns an array of the values' shape and Keras mask."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the Keras mask of the values."""
        return mask[0] if mask is not None else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the values."""
        return input_shape[0]


class GivenDropoutMixin(_WithMasks):
    """Dropout with its mask as an input: combines values and mask in training, and passes values on otherwise.

    Args:
        combine: returns the values in training, of values and mask.
    """

    def __init__(self, combine: Callable[[Any, Any], Any] = operator.mul, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._combine = combine

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Map `[values, mask]` to the shape of the values; the mask has that shape, or 1 timestep."""
        values, mask = inputs
        return self._combine(values, mask) if training else values


class GivenRecurrentDropoutMixin(_WithMasks):
    """Injects given dropout masks into the recurrent layer or Bidirectional that follows.

    Keras draws a mask only if its cache is empty, so the cache is filled before each call. Keras uses a mask for all
    timesteps, and empties the cache after the call.

    Args:
        store: stores the masks in the cells.
    """

    def __init__(self, store: Callable[[list[Any]], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._store = store

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Map `[values, mask, ...]` to the values."""
        values, *masks = inputs
        if training:
            self._store(masks)
        return values


def refuse_in_plain_keras(spec: Graph) -> None:
    """Refuse an LSTM or a GRU that plain Keras does not train as its arguments ask.

    Raises:
        UnsupportedError: for a dropout with `implementation=1`, where Keras 3.15.1 fails or uses 2 instead.
    """
    for name, layer in spec.recurrent.items():
        if not isinstance(layer, (LSTM, GRU)) or not layer.dropout or layer.recurrent_dropout:
            continue
        if layer.implementation == 2:
            continue
        reason = None
        if "/" in name:
            reason = "Bidirectional makes copies of its layer that forget implementation=1"
        elif layer.use_cudnn is not False:
            reason = f"it fails in training with use_cudnn={layer.use_cudnn!r}, and needs False here"
        if reason is not None:
            raise UnsupportedError(
                f"plain Keras: {layer.class_name} {name!r} has dropout={layer.dropout} and implementation=1: {reason}; "
                f"compare the portable layers, or give implementation=2"
            )
