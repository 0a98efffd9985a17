"""Dropout masks: which ones a training step of a model needs, of which shapes, and random ones.

No two frameworks draw the same numbers, so that a mask is an input of the step, as a batch is: 0 where something is
dropped, `1 / (1 - rate)` elsewhere. A mask of an LSTM serves all timesteps of a sequence (Gal and Ghahramani 2016,
https://arxiv.org/abs/1512.05287).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from multilstm.spec import LSTM, Bidirectional, Dropout, Graph
from multilstm.spec.arrays import Array
from multilstm.spec.shapes import Shape


class DropoutMask(NamedTuple):
    """One mask that a training step needs.

    Attributes:
        name: of a Dropout layer, the layer's; of an LSTM, `lstm/dropout` on its inputs and `lstm/recurrent_dropout` on
            its hidden states.
        rate: the share that is dropped; above 0.
        shape: that of the input of a Dropout layer; of an LSTM `[batch, size]`, which all gates share
            (`implementation=2`), or `[4, batch, size]`, one for each gate i, f, c, o (`implementation=1`, which a
            recurrent dropout implies, as in Keras). None where a size may vary.
    """

    name: str
    rate: float
    shape: Shape


def dropout_masks(spec: Graph, batch: int | None = None) -> list[DropoutMask]:
    """The masks that a training step needs; those of a shared layer stand once a call.

    Args:
        spec: the model.
        batch: how many sequences; as the spec fixes it, or None, if left out.
    """
    return list(_masks(spec, batch))


def _masks(spec: Graph, batch: int | None) -> Iterator[DropoutMask]:
    for call in spec.calls:
        layer = spec.layer(call.layer)
        if not call.inputs:
            continue
        inputs = spec.tensor_shapes[call.inputs[0]]
        size = inputs[0] if batch is None else batch
        if isinstance(layer, Dropout) and layer.rate:
            yield DropoutMask(call.layer, layer.rate, (size, *inputs[1:]))
        elif isinstance(layer, LSTM):
            yield from _masks_of_lstm(call.layer, layer, size, inputs[-1])
        elif isinstance(layer, Bidirectional):
            for direction, lstm in layer.directions.items():
                yield from _masks_of_lstm(f"{call.layer}/{direction}", lstm, size, inputs[-1])


def _masks_of_lstm(name: str, lstm: LSTM, batch: int | None, features: int | None) -> Iterator[DropoutMask]:
    gates = (4,) if lstm.implementation == 1 or lstm.recurrent_dropout else ()
    if lstm.dropout:
        yield DropoutMask(f"{name}/dropout", lstm.dropout, (*gates, batch, features))
    if lstm.recurrent_dropout:
        yield DropoutMask(f"{name}/recurrent_dropout", lstm.recurrent_dropout, (*gates, batch, lstm.units))


def draw_dropout(rng: np.random.Generator, spec: Graph, batch: int, timesteps: int) -> dict[str, Array]:
    """Random masks by name, all that a training step of the model needs, in float32.

    Args:
        rng: what draws.
        spec: the model.
        batch: how many sequences.
        timesteps: how many, where the model leaves that open.
    """
    shapes = {
        name: (rate, tuple(timesteps if size is None else size for size in shape))
        for name, rate, shape in dropout_masks(spec, batch)
    }
    return {
        name: np.where(rng.random(shape) >= rate, 1 / (1 - rate), 0.0).astype(np.float32)
        for name, (rate, shape) in shapes.items()
    }
