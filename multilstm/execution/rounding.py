"""Arrays in the precision of a job's dtype."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Batch, Step
from multilstm.spec.arrays import Array, State


def rounded(array: Array, dtype: str) -> Array:
    """The array in the dtype that arrays of such a job have; integers and booleans as they are."""
    kept = np.dtype(stored(dtype))
    return array.astype(kept) if array.dtype.kind == "f" and array.dtype.itemsize > kept.itemsize else array


def rounded_step(step: Step, dtype: str) -> Step:
    """The step with its arrays in the precision of `dtype`."""
    batch = step.batch
    return dataclasses.replace(
        step,
        batch=Batch(
            {name: rounded(array, dtype) for name, array in batch.inputs.items()},
            tuple(rounded(array, dtype) for array in batch.targets),
            batch.masks,
            {name: State(*(rounded(array, dtype) for array in state)) for name, state in batch.states.items()},
            {name: rounded(array, dtype) for name, array in batch.dropout.items()},
        ),
    )
