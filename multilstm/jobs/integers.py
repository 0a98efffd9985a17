"""The check of whole numbers in inputs: those that int32 holds, and the tokens of an Embedding."""

from __future__ import annotations

import numpy as np

from multilstm.errors import InputError
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import Array

__all__ = ["check_whole_numbers"]


def check_whole_numbers(spec: Graph, name: str, array: Array) -> None:
    """Refuse a number of an input that an engine would round or wrap, and a token that an Embedding does not have.

    The tokens of an Embedding are whole, also in an Input of floats. NaN is not whole.

    Args:
        spec: the model.
        name: the name of the input.
        array: the input, numbers of any dtype.

    Raises:
        InputError: naming the value, its place, and the Embedding that reads it.
    """
    limits, readers = np.iinfo(np.int32), spec.readers(Embedding).get(name, ())
    is_int32 = spec.inputs[name].dtype == "int32"
    if is_int32:
        remedy = f"give integers from {limits.min} to {limits.max}, or make the Input float32"
        fits = (array >= limits.min) & (array <= limits.max)
        _refuse(name, array, ~fits, f"does not fit into int32; {remedy}")
    if is_int32 or readers:
        reader = f" of Embedding {readers[0].name!r}" if readers else ""
        _refuse(name, array, array != np.floor(array), f"is no integer{reader}; expected whole numbers, so round them")
    for layer in readers:
        wrong = array[(array < 0) | (array >= layer.input_dim)]
        if wrong.size:
            raise InputError(
                f"Embedding {layer.name!r}: token {wrong[0]} in input {name!r}, expected 0 to {layer.input_dim - 1}; "
                f"raise input_dim or correct the input"
            )


def _refuse(name: str, array: Array, wrong: Array, fault: str) -> None:
    """Raise InputError for the first wrong value of an input."""
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(f"input {name!r}: value {array[place]} at {place} {fault}")
