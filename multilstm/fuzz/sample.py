"""Samples: small cases that a spec and a few integers determine. They can be drawn, shrunk, and written as text.

Every number is `rng.uniform(-1, 1, shape).round(2)`, as float32, from one generator: first the weights in the order
of the spec, then the arrays of each batch. Statistics, such as a moving variance, are absolute values. A script of a
few lines makes the same numbers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multilstm.cases.case import Case
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.json_data import parse_json, typed
from multilstm.spec import Embedding, Graph, Masking, from_json, to_json
from multilstm.spec.arrays import Array
from multilstm.spec.shapes import closed

SIZE_LIMIT = 16 * 2**20  # characters of a sample's JSON
Bits = tuple[tuple[bool, ...], ...]


def numbers(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return float32 numbers in [-1, 1] of two decimals, `shape`."""
    return rng.uniform(-1, 1, shape).round(2).astype("float32")


@dataclasses.dataclass(frozen=True)
class Sample:
    """A model and the sizes of its data; the recipe of its batches.

    Attributes:
        spec: the model.
        batch: the number of sequences.
        timesteps: the number of timesteps, where the model leaves it open.
        count: the number of batches that pass through the model, one after the other.
        mask: `[batch][timesteps]`, True where a timestep counts; None: no mask. A Masking or an Embedding of the model
            computes this mask from the inputs; for other models it is passed with the inputs.
        states: the LSTMs whose initial state is passed with every batch.
        loss: the loss of every output; None: no gradients.
        seed: the random seed of all numbers.
    """

    spec: Graph
    batch: int = 1
    timesteps: int = 1
    count: int = 1
    mask: Bits | None = None
    states: tuple[str, ...] = ()
    loss: str | None = None
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def case(self, name: str) -> Case:
        """Return the sample as a case of that name."""
        return Case(name, "drawn", self.spec, self, loss=self.loss, weights=self.weights())

    def weights(self) -> dict[str, Array]:
        """Return every weight by `layer/weight`."""
        return self._weights(np.random.default_rng(self.seed))

    def _weights(self, rng: np.random.Generator) -> dict[str, Array]:
        weights = {name: numbers(rng, shape) for name, shape in self.spec.weight_shapes.items()}
        return {name: np.abs(array) if name in self.spec.statistics else array for name, array in weights.items()}

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield all batches, the same ones in every epoch."""
        rng = np.random.default_rng(self.seed)
        self._weights(rng)
        for _ in range(self.count):
            yield self._batch(rng)

    def _batch(self, rng: np.random.Generator) -> Batch:
        keep = None if self.mask is None else np.array(self.mask, bool)
        inputs: dict[str, Array] = {}
        masks: dict[str, Array] = {}
        for name, layer in self.spec.inputs.items():
            shape = (self.batch, *(self.timesteps if size is None else size for size in layer.shape))
            reader = self.reader_of(name)
            if isinstance(reader, Embedding):
                values = rng.integers(reader.mask_zero, reader.input_dim, shape, dtype=np.int32)
            else:
                values = numbers(rng, shape)
            if keep is not None and values.shape[:2] == keep.shape:
                if isinstance(reader, Embedding) and reader.mask_zero:
                    values[~keep] = 0
                elif isinstance(reader, Masking):
                    values[~keep] = reader.mask_value
                elif values.ndim == 3:
                    masks[name] = keep
            inputs[name] = values
        states = {
            name: layer.state_type._make(
                numbers(rng, closed(self.spec.state_shape(name, self.batch))) for _ in layer.state_names
            )
            for name, layer in self.spec.recurrent.items()
            if name in self.states
        }
        sizes = map(closed, self.spec.with_open_sizes(self.batch, self.timesteps).output_shapes)
        targets = tuple(np.abs(numbers(rng, size)) for size in sizes) if self.loss is not None else ()
        return Batch(inputs, targets, masks, states, draw_dropout(rng, self.spec, self.batch, self.timesteps))

    def reader_of(self, name: str) -> Any:
        """Return the first layer that reads the input of that name, or None."""
        for call in self.spec.calls:
            if call.inputs and self.spec.calls[call.inputs[0].call].layer == name:
                return self.spec.layer(call.layer)
        return None

    def to_json(self) -> str:
        """Return the sample as JSON text."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return json.dumps({**fields, "spec": json.loads(to_json(self.spec))})


def sample_of(case: Case) -> Sample:
    """Return a sample with the model, the sizes and the first mask of a case, but with random numbers."""
    batches = list(case.forward.batches())
    batch = batches[0]
    lengths = [array.shape[1] for array in batch.inputs.values() if array.ndim > 1]
    sample = Sample(case.spec, batch.size, max(lengths, default=1), len(batches), None, tuple(batch.states), case.loss)
    for name, values in batch.inputs.items():
        reader, keep = sample.reader_of(name), batch.masks.get(name)
        if isinstance(reader, Masking):
            keep = (values != reader.mask_value).any(-1)
        elif isinstance(reader, Embedding) and reader.mask_zero:
            keep = values != 0
        if keep is not None and not keep.all():
            return dataclasses.replace(sample, mask=tuple(tuple(bool(bit) for bit in row) for row in keep))
    return sample


@dataclasses.dataclass(frozen=True)
class _Written:
    """The fields of a `Sample` in JSON."""

    spec: dict[str, Any]
    batch: int
    timesteps: int
    count: int
    mask: list[list[bool]] | None
    states: list[str]
    loss: str | None
    seed: int


def sample_from_json(text: str) -> Sample:
    """Return the sample that `Sample.to_json` wrote.

    Raises:
        InputError: for text that is not JSON, or has other fields than a sample.
        SpecError: for a model that multilstm does not execute.
    """
    written = typed(_Written, parse_json(text, SIZE_LIMIT), "the sample")
    return Sample(
        **{
            **vars(written),
            "spec": from_json(written.spec),
            "mask": None if written.mask is None else tuple(map(tuple, written.mask)),
            "states": tuple(written.states),
        }
    )
