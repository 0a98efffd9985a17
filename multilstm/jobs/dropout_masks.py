"""Dropout masks: those that a training step of a model needs, their shapes, and random ones.

Frameworks draw different random numbers. So a mask is an input of the step, or `multilstm.random` draws it. It then
follows from the layer's seed and the number of updates before the step. It is 0 where a number is dropped and `1 / (1 -
rate)` elsewhere. A mask of an LSTM serves all timesteps of a sequence (Gal and Ghahramani 2016,
https://arxiv.org/abs/1512.05287).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from multilstm.errors import InputError, shown
from multilstm.random import check_seed, dropout_mask
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import DropoutMask
from multilstm.spec.shapes import closed

__all__ = ["DropoutMask", "draw_dropout", "dropout_masks", "masks_to_draw", "seeded_dropout"]


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


def masks_to_draw(spec: Graph, inputs: Mapping[str, tuple[int, ...]], given: Collection[str] = ()) -> list[DropoutMask]:
    """Return the masks that are drawn in a training step: those of layers with a seed that are not given.

    Args:
        spec: the model.
        inputs: the shape of every input by name, the batch included.
        given: the names of the masks that the step gives.

    Raises:
        InputError: for a seed out of range. Also for a layer that is called twice in a step. Keras draws a mask for
            each call, in an order that the model does not state.
    """
    masks = dropout_masks(spec, next(iter(inputs.values()))[0])
    if any(None in mask.shape for mask in masks):
        masks = dropout_masks(spec.with_sizes(inputs))
    drawn = [mask for mask in masks if mask.seed is not None and mask.name not in given]
    counts = Counter(mask.name for mask in drawn)
    for mask in drawn:
        layer = spec.layer(mask.name.split("/")[0]).label
        check_seed(layer, mask.seed)
        if counts[mask.name] > 1:
            raise InputError(
                f"{layer}: a training step calls it {counts[mask.name]} times, so that its seed decides no mask; "
                f"give the dropout mask {shown(mask.name)}, or a layer for each call"
            )
    return drawn


def seeded_dropout(
    spec: Graph, inputs: Mapping[str, tuple[int, ...]], step: int, given: Collection[str] = ()
) -> dict[str, Array]:
    """Return the masks of `masks_to_draw` by name, in float64.

    Args:
        spec: see `masks_to_draw`.
        inputs: see `masks_to_draw`.
        step: the number of updates before this step.
        given: see `masks_to_draw`.

    Raises:
        InputError: see `masks_to_draw`.
    """
    return {
        mask.name: dropout_mask(mask.seed or 0, mask.stream, step, mask.rate, closed(mask.shape), mask.gates)
        for mask in masks_to_draw(spec, inputs, given)
    }


def draw_dropout(rng: np.random.Generator, spec: Graph, batch: int, timesteps: int) -> dict[str, Array]:
    """Return random masks by name, those that a training step of the model needs from outside.

    Args:
        rng: the generator.
        spec: the model.
        batch: the number of sequences.
        timesteps: the number of timesteps, where the model leaves that open.

    Returns:
        float32 arrays of 0 and `1 / (1 - rate)`, or of normal numbers, of the shapes of `dropout_masks`; none for a
        layer whose seed draws its mask.
    """
    needed = dropout_masks(spec, batch)
    if any(None in mask.shape for mask in needed):
        needed = dropout_masks(spec.with_open_sizes(batch, timesteps), batch)
    masks = {mask.name: mask for mask in needed if mask.seed is None}
    return {name: _values(rng, mask).astype(np.float32) for name, mask in masks.items()}


def _values(rng: np.random.Generator, mask: DropoutMask) -> Array:
    shape = closed(mask.shape)
    if mask.normal is not None:
        return rng.normal(*mask.normal, shape)
    return np.where(rng.random(shape) >= mask.rate, 1 / (1 - mask.rate), 0.0)
