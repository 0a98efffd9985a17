"""Inputs for a user's model from a file of arrays, and the inputs of a case as such arrays.

An array has the name of its input; the only array for the only input needs no name. `mask:INPUT` is the mask of an
input, `hidden:LAYER` and `cell:LAYER` are initial states. With several batches, `@0`, `@1` and so on follow each name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.jobs.validation import check_batch
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, State, as_state

__all__ = ["arrays_of", "by_batch", "described", "given_batches"]

_NUMBERED = re.compile(r"(.*)@(\d{1,6})", re.DOTALL)


def given_batches(spec: Graph, arrays: Mapping[str, Array], seed: int = 0) -> tuple[Batch, ...]:
    """Return batches with the given inputs, and with random targets and dropout masks.

    Args:
        spec: the model.
        arrays: arrays by the names that the docstring of this module defines.
        seed: the random seed.

    Raises:
        InputError: for arrays that are no inputs of the model, or whose batches are incomplete.
    """
    if set(arrays) == {""} and len(spec.inputs) == 1:
        arrays = {next(iter(spec.inputs)): arrays[""]}
    batches = [_batch(spec, batch) for batch in by_batch(arrays)]
    if not batches:
        raise InputError(f"the file of inputs is empty; expected arrays for {listed(spec.inputs)}")
    rng = np.random.default_rng(seed)
    return tuple(_with_targets(rng, spec, check_batch(spec, batch)) for batch in batches)


def by_batch(arrays: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Return the arrays of each batch, without the batch's number in the names.

    Raises:
        InputError: for numbers that are not consecutive from 0, or a name with and without a number.
    """
    batches: dict[int, dict[str, Array]] = {}
    for name, array in arrays.items():
        numbered = _NUMBERED.fullmatch(name)
        plain, number = (numbered[1], int(numbered[2])) if numbered else (name, 0)
        if plain in batches.setdefault(number, {}):
            raise InputError(f"the arrays hold {shown(plain)} twice for batch {number}; give each name once")
        batches[number][plain] = array
    if sorted(batches) != list(range(len(batches))):
        raise InputError(f"the numbers of the batches are {listed(map(str, sorted(batches)))}, expected 0, 1, 2 ...")
    return [batches[number] for number in sorted(batches)]


def arrays_of(batches: Sequence[Batch]) -> Iterator[tuple[str, Array]]:
    """Yield the inputs, masks and states of batches by the names that `given_batches` reads."""
    for number, batch in enumerate(batches):
        suffix = f"@{number}" if len(batches) > 1 else ""
        for name, array in batch.inputs.items():
            yield f"{name}{suffix}", array
        for name, array in batch.masks.items():
            yield f"mask:{name}{suffix}", array
        for name, state in batch.states.items():
            for field, array in state._asdict().items():
                yield f"{field}:{name}{suffix}", array


def described(batches: Sequence[Batch], path: str) -> str:
    """Return the given inputs in words."""
    return f"{len(batches)} batch{'es' if len(batches) > 1 else ''} of {batches[0].size} sequences from {shown(path)}"


def _batch(spec: Graph, arrays: Mapping[str, Array]) -> Batch:
    """Return the batch that the arrays of one batch make; `check_batch` checks names and shapes."""
    inputs, masks, fields = {}, {}, {}
    for name, array in arrays.items():
        kind, _, where = name.partition(":")
        if name not in spec.inputs and kind == "mask":
            masks[where] = array
        elif name not in spec.inputs and kind in State._fields:
            fields[where, kind] = array
        else:
            inputs[name] = array
    states = {}
    for where in dict.fromkeys(where for where, _ in fields):
        layer = spec.recurrent.get(where)
        expected = State._fields if layer is None else layer.state_names
        missing = [field for field in expected if (where, field) not in fields]
        if missing:
            raise InputError(
                f"the initial state of {shown(where)} lacks {listed(missing)}; give {' and '.join(expected)}"
            )
        states[where] = as_state(*(fields[where, field] for field in State._fields if (where, field) in fields))
    return Batch(inputs, masks=masks, states=states)


def _with_targets(rng: np.random.Generator, spec: Graph, batch: Batch) -> Batch:
    fixed = spec.with_sizes({name: array.shape for name, array in batch.inputs.items()})
    shapes = [tuple(size or 0 for size in shape) for shape in fixed.output_shapes]  # none is open any more
    targets = tuple(rng.random(shape, dtype=np.float32) for shape in shapes)
    return dataclasses.replace(batch, targets=targets, dropout=draw_dropout(rng, fixed, batch.size, 1))
