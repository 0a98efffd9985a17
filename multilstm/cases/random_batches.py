"""Random batches for any model, with masks of each kind: what the cases of the option sweep are fed with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from multilstm.cases.case import Case, Fit
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, State
from multilstm.spec.optimizers import SGD, Optimizer

MASKS = ("none", "right", "left", "holes", "scattered", "full_row", "all_true")
PADDING = -1.0  # what stands in a masked timestep, where a Masking layer has to find it


def mask(kind: str, size: int, timesteps: int, turn: int = 0) -> Array:
    """A mask `[size, timesteps]`, True where a timestep counts.

    Args:
        kind: `right` and `left`: every row has another number of masked timesteps at its end, or start; `holes`: one
            masked timestep inside a row, or two; `scattered`: here and there, at start and end too; `full_row`: the
            first row is masked throughout, the others on the right; `all_true`: nothing is masked.
        size: sequences.
        timesteps: at least 3, unless nothing is masked.
        turn: shifts who has how many, so that batches differ.
    """
    row, time = np.indices((size, timesteps))
    keep: Array = np.ones((size, timesteps), bool)
    masked = 1 + (row + turn) % max(1, timesteps - 1)  # from 1 to timesteps - 1
    if kind == "right":
        keep = time < timesteps - masked
    elif kind == "left":
        keep = time >= masked
    elif kind == "holes":
        hole = 1 + (row + turn) % max(1, timesteps - 2)
        second = 1 + (row + turn + 2) % max(1, timesteps - 2)
        keep = (time != hole) & ((time != second) | (row % 2 == 0))
    elif kind == "scattered":
        keep = (time + 2 * row + turn) % 3 != 0
    elif kind == "full_row":
        keep = (time < timesteps - masked) & (row > 0)
    return keep


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Standard normal features, random tokens, uniform targets, and what else the model's steps need.

    Attributes:
        spec: the model.
        size: sequences in a batch.
        timesteps: the length, where the model leaves it open.
        count: batches.
        mask: one of `MASKS`; `none` gives no mask.
        by_value: the mask is given by the values of the masked timesteps, `PADDING` or token 0, which a Masking or
            Embedding layer finds; False: as a boolean array beside the input.
        states: the LSTMs whose initial state is given with every batch.
        scale: of the features.
        seed: of all of it.
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

    def __len__(self) -> int:
        return self.count

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """The same batches in every epoch."""
        for turn in range(self.count):
            rng = np.random.default_rng([self.seed, turn])
            keep = mask(self.mask, self.size, self.timesteps, turn)
            inputs = {name: self._input(rng, name, keep) for name in self.spec.inputs}
            beside = self.mask != "none" and not self.by_value
            yield Batch(
                inputs,
                tuple(
                    rng.random([self.timesteps if size is None else size for size in (self.size, *shape[1:])]).astype(
                        np.float32
                    )
                    for shape in self.spec.output_shapes
                ),
                dict.fromkeys(inputs, keep) if beside else {},
                {name: self._state(rng, self.spec.lstms[name].units) for name in self.states},
                draw_dropout(rng, self.spec, self.size, self.timesteps),
            )

    def _input(self, rng: np.random.Generator, name: str, keep: Array) -> Array:
        layer = self.spec.inputs[name]
        shape = [self.timesteps if size is None else size for size in (self.size, *layer.shape)]
        if layer.dtype == "int32":
            tokens = rng.integers(1, 7, shape, dtype=np.int32)
            return np.where(keep, tokens, 0).astype(np.int32) if self.by_value else tokens
        values = (self.scale * rng.standard_normal(shape)).astype(np.float32)
        return np.where(keep[:, :, None], values, np.float32(PADDING)) if self.by_value else values

    def _state(self, rng: np.random.Generator, units: int) -> State:
        hidden, cell = (rng.uniform(-1, 1, (self.size, units)).astype(np.float32) for _ in State._fields)
        return State(hidden, cell)


def trainable(name: str, description: str, data: Drawn, optimizer: Optimizer = SGD(0.1), seed: int = 0) -> Case:  # noqa: B008
    """A case of all parts: forward, gradient, and a training of two epochs over the same data."""
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
