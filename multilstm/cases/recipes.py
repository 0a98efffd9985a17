"""Recipes: given batches, and the random data of the seed programs, from NumPy and a fixed seed.

float32 represents all their values exactly. Most other cases use `multilstm.cases.random_batches`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np

from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, State

Labels = Literal["one_hot", "uniform"]


def one_hot(labels: Array, classes: int) -> Array:
    """Return integers `[...]` as `[..., classes]` of 0 and 1."""
    encoded: Array = np.eye(classes, dtype=np.float32)[labels]
    return encoded


@dataclasses.dataclass(frozen=True)
class GivenBatches:
    """The given batches, in every epoch."""

    given: tuple[Batch, ...]

    def __len__(self) -> int:
        return len(self.given)

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the given batches."""
        yield from self.given


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Sequences of uniform random features, with random labels.

    Attributes:
        count: the number of sequences; the last batch may be smaller.
        timesteps: the length of each.
        features: the features of each timestep.
        batch_size: sequences in a batch.
        targets: shapes of the targets of each sequence, one for every output of the model.
        labels: `one_hot` along the last axis, or `uniform` in [0, 1).
        states: the units of every LSTM whose initial state is given with every batch, uniform in [-1, 1).
        dropout: the model whose dropout masks are drawn; None: no dropout masks.
        input_name: the input of the model.
        seed: the seed of all numbers.
    """

    count: int
    timesteps: int
    features: int
    batch_size: int
    targets: tuple[tuple[int, ...], ...] = ()
    labels: Labels = "one_hot"
    states: tuple[tuple[str, int], ...] = ()
    dropout: Graph | None = None
    input_name: str = "input_layer"
    seed: int = 0

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the same batches in every epoch, in the same order."""
        for start in range(0, self.count, self.batch_size):
            size = min(self.batch_size, self.count - start)
            rng = np.random.default_rng([self.seed, start, self.timesteps])
            yield Batch(
                inputs={self.input_name: rng.random((size, self.timesteps, self.features), dtype=np.float32)},
                targets=tuple(_labels(rng, (size, *shape), self.labels) for shape in self.targets),
                states={name: _state(rng, size, units) for name, units in self.states},
                dropout={} if self.dropout is None else draw_dropout(rng, self.dropout, size, self.timesteps),
            )


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Sequences of random tokens, as integers `[count, timesteps]`, or as one feature `[count, timesteps, 1]`."""

    count: int
    timesteps: int
    vocabulary: int
    batch_size: int
    as_feature: bool
    input_name: str = "input_layer"
    seed: int = 0

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the same batches in every epoch; the target is a random token, one-hot."""
        for start in range(0, self.count, self.batch_size):
            size = min(self.batch_size, self.count - start)
            rng = np.random.default_rng([self.seed, start])
            tokens = rng.integers(self.vocabulary, size=(size, self.timesteps), dtype=np.int32)
            values = tokens[..., None].astype(np.float32) if self.as_feature else tokens
            yield Batch({self.input_name: values}, (_labels(rng, (size, self.vocabulary), "one_hot"),))


@dataclasses.dataclass(frozen=True)
class DelayedSum:
    """Sequences whose label at t is whether a sum over the last five timesteps exceeds 2.5.

    `y[t] = x[t, 0] + x[t-1, 1] + x[t-2, 2] + x[t-3, 3] + x[t-4, 4]`, with x uniform in [0, 1) and 5 features. Terms
    before the start are left out. The target is one-hot of `y > 2.5`.

    The original program sums in place in `y = x[:, :, 0]`, which is a view. The sum is then written into the first
    feature of the input, and the network only has to compare that feature with 2.5. The published losses are of that
    task. `in_place=True` keeps the program as published. `in_place=False` copies, so the network has to remember four
    timesteps: the harder task, which was probably meant.

    Attributes:
        sequences: the number of sequences in every batch.
        steps: the number of batches in an epoch.
        lengths: the possible lengths; one is drawn for each batch.
        in_place: see above.
        padded: whether each sequence is cut to a random length of at least 10 and padded with -1, for a Masking layer.
            Padded targets are class 0, which a loss must not see.
        input_name: the input of the model.
        seed: the seed of all numbers.
    """

    sequences: int
    steps: int
    lengths: tuple[int, ...]
    in_place: bool
    padded: bool = False
    input_name: str = "input_layer"
    seed: int = 0

    def __len__(self) -> int:
        return self.steps

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield new sequences, of new lengths, in every epoch."""
        for step in range(self.steps):
            rng = np.random.default_rng([self.seed, epoch, step])
            timesteps = int(rng.choice(self.lengths))
            x = rng.random((self.sequences, timesteps, 5), dtype=np.float32)
            y = x[:, :, 0] if self.in_place else x[:, :, 0].copy()
            for delay in range(1, 5):
                y[:, delay:] += x[:, :-delay, delay]
            targets = one_hot((y > 2.5).astype(int), 2)
            if self.padded:
                ends = rng.integers(10, timesteps, size=(self.sequences, 1), endpoint=True)
                outside = np.arange(timesteps) >= ends
                x[outside] = -1.0
                targets[outside] = (1.0, 0.0)
            yield Batch({self.input_name: x}, (targets,))


def _labels(rng: np.random.Generator, shape: tuple[int, ...], labels: Labels) -> Array:
    if labels == "uniform":
        return rng.random(shape, dtype=np.float32)
    return one_hot(rng.integers(shape[-1], size=shape[:-1]), shape[-1])


def _state(rng: np.random.Generator, batch: int, units: int) -> State:
    hidden, cell = (rng.uniform(-1, 1, (batch, units)).astype(np.float32) for _ in State._fields)
    return State(hidden, cell)
