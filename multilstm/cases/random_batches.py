"""Random batches for any model, with masks of each kind: the data of most cases of the catalogue."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from multilstm.cases.case import Case, Fit
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array
from multilstm.spec.optimizers import SGD, Optimizer
from multilstm.spec.shapes import closed

MASKS = ("none", "right", "left", "holes", "scattered", "full_row", "all_true")
PADDING = -1.0  # the features of a masked timestep, if a Masking layer has to find it


def mask(kind: str, size: int, timesteps: int, shift: int = 0) -> Array:
    """Return a mask `[size, timesteps]`, True where a timestep counts.

    Args:
        kind: one of `MASKS`:
            `right`, `left`: masked timesteps at the end, or at the start, in a number that differs between sequences.
            `holes`: one or two masked timesteps inside each sequence.
            `scattered`: masked timesteps anywhere, the first and last ones included.
            `full_row`: the first sequence is masked in all timesteps, the others at the end.
            `none`, `all_true`: no masked timestep.
        size: the number of sequences.
        timesteps: the length, at least 3 unless nothing is masked.
        shift: rotates the numbers of masked timesteps among the sequences, so that batches differ.
    """
    row, time = np.indices((size, timesteps))
    keep: Array = np.ones((size, timesteps), bool)
    masked = 1 + (row + shift) % max(1, timesteps - 1)  # from 1 to timesteps - 1
    if kind == "right":
        keep = time < timesteps - masked
    elif kind == "left":
        keep = time >= masked
    elif kind == "holes":
        hole = 1 + (row + shift) % max(1, timesteps - 2)
        second = 1 + (row + shift + 2) % max(1, timesteps - 2)
        keep = (time != hole) & ((time != second) | (row % 2 == 0))
    elif kind == "scattered":
        keep = (time + 2 * row + shift) % 3 != 0
    elif kind == "full_row":
        keep = (time < timesteps - masked) & (row > 0)
    return keep


@dataclasses.dataclass(frozen=True)
class RandomBatches:
    """Random batches that fit a model: normal features or tokens, uniform targets, masks, states, dropout masks.

    Attributes:
        spec: the model.
        size: the number of sequences in a batch.
        timesteps: the length, where the model leaves it open.
        count: the number of batches.
        mask: one of `MASKS`; `none` gives no mask.
        by_value: whether masked timesteps hold `PADDING` or token 0, which a Masking or Embedding layer finds.
            Otherwise the mask is a boolean array next to the input.
        states: the LSTMs whose initial state is given with every batch.
        scale: the standard deviation of the features.
        seed: the seed of all numbers.
        sizes: pairs (size, timesteps). If given, there are `count` batches of each pair instead.
    """

    spec: Graph
    size: int
    timesteps: int
    count: int = 1
    mask: str = "none"
    by_value: bool = False
    states: tuple[str, ...] = ()
    scale: float = 1.0
    seed: int = 0
    sizes: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return self.count * max(1, len(self.sizes))

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the same batches in every epoch."""
        for size, timesteps in self.sizes:
            yield from dataclasses.replace(self, size=size, timesteps=timesteps, sizes=()).batches(epoch)
        if not self.sizes:
            yield from map(self._batch, range(self.count))

    def _batch(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        keep = mask(self.mask, self.size, self.timesteps, number)
        sized = self.spec.with_open_sizes(self.size, self.timesteps)
        inputs = {name: self._input(rng, name, keep, number) for name in self.spec.inputs}
        targets = tuple(rng.random(closed(shape)).astype(np.float32) for shape in sized.output_shapes)
        states = {name: self._state(rng, name) for name in self.states}
        dropout = draw_dropout(rng, self.spec, self.size, self.timesteps)
        masks = dict.fromkeys(inputs, keep) if self.mask != "none" and not self.by_value else {}
        return Batch(inputs, targets, masks, states, dropout)

    def _sizes(self, shape: tuple[int | None, ...]) -> list[int]:
        """Return a shape with the timesteps filled in."""
        return [self.timesteps if size is None else size for size in shape]

    def _input(self, rng: np.random.Generator, name: str, keep: Array, number: int) -> Array:
        layer = self.spec.inputs[name]
        shape = self._sizes((self.size, *layer.shape))
        if layer.dtype == "int32":
            if len(shape) > 2:  # the words of each sentence are masked
                keep = mask(self.mask, math.prod(shape[:-1]), shape[-1], number).reshape(shape)
            tokens = rng.integers(1, 7, shape, dtype=np.int32)
            return np.where(keep, tokens, 0).astype(np.int32) if self.by_value else tokens
        values = (self.scale * rng.standard_normal(shape)).astype(np.float32)
        return np.where(keep[:, :, None], values, np.float32(PADDING)) if self.by_value else values

    def _state(self, rng: np.random.Generator, name: str) -> AnyState:
        layer, shape = self.spec.recurrent[name], closed(self.spec.state_shape(name, self.size))
        return layer.state_type._make(rng.uniform(-1, 1, shape).astype(np.float32) for _ in layer.state_names)


def trainable(name: str, description: str, data: RandomBatches, optimizer: Optimizer = SGD(0.1), seed: int = 0) -> Case:  # noqa: B008
    """Return a case of all parts: forward, gradient, and a training of two epochs over the same data."""
    return Case(
        name,
        description,
        data.spec,
        forward=data,
        loss="mean_squared_error",
        optimizer=optimizer,
        training=(Fit(data, epochs=2),),
        seed=seed,
    )


def shortened(case: Case, trained: bool) -> Case:
    """Return the case with gradients and training in float64 alone, or without them."""
    if case.loss is None:
        return case
    if trained:
        return dataclasses.replace(case, trained_in=("float64",), shortened="gradients and training in float64 alone")
    return dataclasses.replace(
        case, loss=None, optimizer=None, training=(), updates_on=None, shortened="without gradients and training"
    )
