"""Arrays: the array type of every quantity, the states of recurrent layers, and checks of values that become arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from multilstm.errors import InputError, shown

__all__ = [
    "AnyState",
    "Array",
    "HiddenState",
    "State",
    "as_array",
    "as_numpy",
    "as_state",
    "by_name",
    "namespace",
    "native",
]

Array = np.ndarray
RANK_LIMIT = 32  # axes of an array of NumPy


class State(NamedTuple):
    """The state that an LSTM passes from one timestep to the next.

    Attributes:
        hidden: `[batch, units]`, Keras's first state, also the output of the last timestep.
        cell: `[batch, units]`, Keras's second state.
    """

    hidden: Any
    cell: Any


class HiddenState(NamedTuple):
    """The state that a GRU or a SimpleRNN passes from one timestep to the next.

    Attributes:
        hidden: `[batch, units]`, also the output of the last timestep.
    """

    hidden: Any


AnyState = State | HiddenState


def as_state(*arrays: Any) -> AnyState:
    """Return the state of these arrays: a `State` of two, a `HiddenState` of one."""
    return State(*arrays) if len(arrays) == 2 else HiddenState(*arrays)


def as_array(label: str, values: Any) -> Array:
    """Return `values` as a NumPy array of numbers or booleans.

    Args:
        label: the name of the array, the beginning of every error.
        values: an array, or nested lists of one length in each axis.

    Raises:
        InputError: for ragged lists, objects, text, complex numbers, numbers of more than 64 bits, or a masked array.
    """
    array = as_numpy(label, values)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(f"{label}: dtype is {array.dtype}, expected numbers of at most 64 bits")
    return array


def as_numpy(label: str, values: Any) -> Array:
    """Return `values` as a NumPy array of any dtype, in this machine's byte order.

    Args:
        label: the name of the array, the beginning of every error.
        values: an array, or nested lists of one length in each axis.

    Raises:
        InputError: for None, ragged lists, or a masked array, alone or in a list.
    """
    if values is None:
        raise InputError(f"{label}: given None, expected an array")
    if _is_masked(values):
        raise InputError(f"{label}: given a NumPy masked array, whose mask would be lost; give an array and a mask")
    try:
        array: Array = native(np.asarray(values))
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        reason = shown(str(error))
        raise InputError(f"{label}: given {type(values).__name__}, expected an array ({reason})") from None
    return array


def native(value: Any) -> Any:
    """Return a NumPy array in this machine's byte order, and any other value unchanged.

    Files of HDF5, FITS and netCDF often have the other order, which JAX and PyTorch refuse.
    """
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        return value.astype(value.dtype.newbyteorder("="))
    return value


def _is_masked(values: Any, depth: int = RANK_LIMIT) -> bool:
    """Return whether values are a masked array, or nested lists that hold one."""
    if isinstance(values, (list, tuple)) and depth:
        return any(_is_masked(item, depth - 1) for item in values)
    return isinstance(values, np.ma.MaskedArray)


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


def namespace(array: Any) -> Any:
    """Return the module whose functions take an array of NumPy, JAX or PyTorch, such as `jax.numpy`."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return sys.modules[type(array).__module__.partition(".")[0]]  # PyTorch has no such method
