"""The rounding of a job's arrays to its dtype."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Batch, Step
from multilstm.spec.arrays import Array, as_state


def rounded(array: Array, dtype: str) -> Array:
    """Return the array rounded to the dtype in which jobs of `dtype` store arrays.

    Integers, booleans and narrower floats are returned as they are.
    """
    precision = np.dtype(stored(dtype))
    wider = array.dtype.kind == "f" and array.dtype.itemsize > precision.itemsize
    return array.astype(precision) if wider else array


def rounded_step(step: Step, dtype: str) -> Step:
    """Return the step with its arrays rounded like `rounded`."""
    batch = step.batch
    return dataclasses.replace(
        step,
        batch=Batch(
            {name: rounded(array, dtype) for name, array in batch.inputs.items()},
            tuple(rounded(array, dtype) for array in batch.targets),
            batch.masks,
            {name: as_state(*(rounded(array, dtype) for array in state)) for name, state in batch.states.items()},
            {name: rounded(array, dtype) for name, array in batch.dropout.items()},
        ),
    )
