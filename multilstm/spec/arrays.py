"""Arrays: the array type of every quantity, the state of an LSTM, and the checks of values that become arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from multilstm.errors import InputError, shown

__all__ = ["Array", "State", "as_array", "by_name"]

Array = np.ndarray


class State(NamedTuple):
    """The state that an LSTM passes from one timestep to the next.

    Attributes:
        hidden: `[batch, units]`, Keras's first state, also the output of the last timestep.
        cell: `[batch, units]`, Keras's second state.
    """

    hidden: Any
    cell: Any


def as_array(label: str, values: Any) -> Array:
    """Return `values` as a NumPy array of numbers or booleans.

    Args:
        label: the name of the array, the beginning of every error.
        values: an array, or nested lists of one length in each axis.

    Raises:
        InputError: for ragged lists, objects, text, complex numbers, numbers of more than 64 bits, or a masked array.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{label}: given a NumPy masked array, whose mask would be lost; give an array and a mask")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{label}: given {type(values).__name__}, expected an array ({error})") from None
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(f"{label}: dtype is {array.dtype}, expected numbers of at most 64 bits")
    return array


def by_name(label: str, arrays: Any) -> Mapping[str, Any]:
    """Return `arrays`, which must be a dict by name.

    Args:
        label: the kind of arrays, the beginning of the error.
        arrays: the dict.

    Raises:
        InputError: for anything but a dict, or a key that is no text.
    """
    if not isinstance(arrays, Mapping):
        raise InputError(f"{label}: given {type(arrays).__name__}, expected a dict of arrays by name")
    for name in arrays:
        if not isinstance(name, str):
            raise InputError(f"{label}: given the key {shown(name)}, expected names")
    return arrays
