"""A case for a user's model, with random inputs, targets and dropout masks that fit it."""

from __future__ import annotations

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.recipes import GivenBatches
from multilstm.errors import UsageError
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.jobs.memory import check_memory
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import Array


def random_batch(spec: Graph, batch: int, timesteps: int, seed: int = 0) -> Batch:
    """Return one batch of random inputs, targets and dropout masks that fit a model.

    Args:
        spec: the model.
        batch: the number of sequences, where the model leaves it open.
        timesteps: the length, where the model leaves it open.
        seed: the seed of all numbers.
    """

    def filled(shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return tuple(timesteps if size is None else size for size in shape)

    rng = np.random.default_rng(seed)
    inputs: dict[str, Array] = {}
    for name, layer in spec.inputs.items():
        shape = (layer.batch_size or batch, *filled(layer.shape))
        vocabularies = [
            embedding.input_dim
            for call in spec.calls
            if isinstance(embedding := spec.layer(call.layer), Embedding)
            and spec.calls[call.inputs[0].call].layer == name
        ]
        if vocabularies:
            inputs[name] = rng.integers(min(vocabularies), size=shape, dtype=np.int32)
        else:
            inputs[name] = rng.uniform(-1, 1, shape).astype(np.float32)
    size = len(next(iter(inputs.values())))
    dropout = draw_dropout(rng, spec, size, timesteps)
    targets = tuple(rng.random((size, *filled(shape[1:])), dtype=np.float32) for shape in spec.output_shapes)
    return Batch(inputs, targets, dropout=dropout)


def random_case(spec: Graph, batch: int, timesteps: int) -> Case:
    """Return a case for a user's model with random weights and inputs, and gradients of a squared error.

    Raises:
        UsageError: for a size below 1.
        InputError: for a batch that the memory of this machine cannot hold.
    """
    for name, size in (("batch", batch), ("timesteps", timesteps)):
        if size < 1:
            raise UsageError(f"--{name} must be at least 1, given {size}")
    check_memory(spec, batch, timesteps)
    data = GivenBatches((random_batch(spec, batch, timesteps),))
    return Case(spec.name, "given", spec, data, loss="mean_squared_error")
