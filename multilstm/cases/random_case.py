"""A case for a user's model, with random inputs, targets and dropout masks that fit it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from multilstm.cases.case import Case
from multilstm.errors import UsageError
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.jobs.memory import check_memory
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import Array


@dataclasses.dataclass(frozen=True)
class RandomBatch:
    """One batch of random inputs, targets and dropout masks that fit a model."""

    spec: Graph
    batch: int
    timesteps: int
    seed: int = 0

    def __len__(self) -> int:
        return 1

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """The batch, the same one in every epoch."""
        rng = np.random.default_rng(self.seed)
        inputs = {name: self._input(rng, name) for name in self.spec.inputs}
        batch = len(next(iter(inputs.values())))

        dropout = draw_dropout(rng, self.spec, batch, self.timesteps)
        shapes = (
            (batch, *(self.timesteps if size is None else size for size in shape[1:]))
            for shape in self.spec.output_shapes
        )
        yield Batch(inputs, tuple(rng.random(shape, dtype=np.float32) for shape in shapes), dropout=dropout)

    def _input(self, rng: np.random.Generator, name: str) -> Array:
        layer = self.spec.inputs[name]
        sizes = tuple(self.timesteps if size is None else size for size in layer.shape)
        shape = (layer.batch_size or self.batch, *sizes)
        tokens = [
            embedding.input_dim
            for call in self.spec.calls
            if isinstance(embedding := self.spec.layer(call.layer), Embedding)
            and self.spec.calls[call.inputs[0].call].layer == name
        ]
        if tokens:
            return rng.integers(min(tokens), size=shape, dtype=np.int32)
        return rng.uniform(-1, 1, shape).astype(np.float32)


def random_case(spec: Graph, batch: int, timesteps: int) -> Case:
    """A case for a user's model: random weights and inputs, its outputs, states, and gradients of a squared error.

    Raises:
        UsageError: for a size below 1.
        InputError: for a batch that the memory of this machine cannot hold.
    """
    for name, size in (("batch", batch), ("timesteps", timesteps)):
        if size < 1:
            raise UsageError(f"--{name} must be at least 1, given {size}")
    check_memory(spec, batch, timesteps)
    return Case(spec.name, "given", spec, RandomBatch(spec, batch, timesteps), loss="mean_squared_error")
