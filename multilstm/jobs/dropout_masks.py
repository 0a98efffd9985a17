"""Dropout masks: those that a training step of a model needs, their shapes, and random ones.

Frameworks draw different random numbers, so a mask is an input of the step. It is 0 where a number is dropped and
`1 / (1 - rate)` elsewhere. A mask of an LSTM serves all timesteps of a sequence (Gal and Ghahramani 2016,
https://arxiv.org/abs/1512.05287).
"""

from __future__ import annotations

import numpy as np

from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import DropoutMask
from multilstm.spec.shapes import closed

__all__ = ["DropoutMask", "draw_dropout", "dropout_masks"]


def dropout_masks(spec: Graph, batch: int | None = None) -> list[DropoutMask]:
    """Return the masks that a training step needs; those of a shared layer once for every call.

    Args:
        spec: the model.
        batch: the number of sequences; None: the number that the spec fixes, or None.
    """
    masks: list[DropoutMask] = []
    for call in spec.calls:
        if call.inputs:
            first, *others = spec.tensor_shapes[call.inputs[0]]
            inputs = (first if batch is None else batch, *others)
            masks += spec.layer(call.layer).dropout_masks(call.layer, inputs)
    return masks


def draw_dropout(rng: np.random.Generator, spec: Graph, batch: int, timesteps: int) -> dict[str, Array]:
    """Return random masks by name, all that a training step of the model needs.

    Args:
        rng: the generator.
        spec: the model.
        batch: the number of sequences.
        timesteps: the number of timesteps, where the model leaves that open.

    Returns:
        float32 arrays of 0 and `1 / (1 - rate)`, of the shapes of `dropout_masks`.
    """
    needed = dropout_masks(spec, batch)
    if any(None in mask.shape for mask in needed):
        needed = dropout_masks(spec.with_open_sizes(batch, timesteps), batch)
    masks = {mask.name: mask for mask in needed}
    return {
        name: np.where(rng.random(closed(shape)) >= rate, 1 / (1 - rate), 0.0).astype(np.float32)
        for name, rate, shape in masks.values()
    }
