"""Loading a user's model: Keras 3's JSON as data, or a function of a module that the user names on the command line."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import sys
from collections.abc import Iterator

import numpy as np

from multilstm.case import Case
from multilstm.dropout import draw_dropout
from multilstm.errors import InputError, MultilstmError, UsageError
from multilstm.job import Array, Batch
from multilstm.spec import Embedding, Graph, from_json


def load_model(source: str) -> Graph:
    """The model spec behind a name.

    Args:
        source: `FILE.json`, what Keras 3's `model.to_json()` returned; or `module:function`, which is imported from
            the working folder or the installed packages, and called without arguments. A file never runs code.

    Raises:
        InputError: for a file that cannot be read, or a function that does not return a model spec.
        SpecError: for JSON that is broken, or holds what multilstm does not execute.
        UsageError: for a name that is neither.
    """
    path = pathlib.Path(source)
    if path.suffix == ".json":
        try:
            return from_json(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot read {source!r}: {reason}; expected Keras 3's model.to_json()") from None
    module, separator, function = source.partition(":")
    if not separator or not module or not function:
        raise UsageError(f"model {source!r}: expected FILE.json (Keras 3's model.to_json()), or module:function")
    sys.path.insert(0, "")
    try:
        made = getattr(importlib.import_module(module), function)()
    except MultilstmError:
        raise
    except Exception as error:
        raise InputError(f"model {source!r}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove("")
    if not isinstance(made, Graph):
        raise InputError(f"model {source!r}: it returned {type(made).__name__}, expected a Model or Sequential")
    return made


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
    """
    for name, size in (("batch", batch), ("timesteps", timesteps)):
        if size < 1:
            raise UsageError(f"--{name} must be at least 1, given {size}")
    return Case(spec.name, "given", spec, RandomBatch(spec, batch, timesteps), loss="mean_squared_error")
