"""Checks of one argument by its type. Each error names the argument, the given value and the expected values.

Arrays may be traced by JAX. NumPy's masked arrays are refused, because JAX would lose their masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from multilstm.errors import InputError, shown
from multilstm.spec.arrays import as_numpy

KINDS = (jnp.floating, jnp.integer, jnp.bool_)


def as_numbers(label: str, values: Any) -> jax.Array | np.ndarray:
    """Return values as an array of JAX or NumPy whose numbers or booleans JAX can hold.

    Args:
        label: the name of the argument, the beginning of every error.
        values: an array, a number, or nested lists of one length in each axis.

    Raises:
        InputError: for None, ragged lists, text, objects, complex numbers, more than 64 bits, and masked arrays.
    """
    if _is_list_of_traced(values):
        try:
            values = jnp.asarray(values)
        except (TypeError, ValueError) as error:
            kind, reason = type(values).__name__, shown(str(error))
            raise InputError(f"{label}: given {kind}, expected an array ({reason})") from None
    array = values if isinstance(values, jax.Array) else as_numpy(label, values)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in KINDS) or array.dtype.itemsize > 8:
        raise InputError(f"{label}: dtype is {array.dtype}, expected numbers of at most 64 bits")
    return array


def _is_list_of_traced(values: Any) -> bool:
    """Return whether values are a list with an array that JAX traces, whose numbers NumPy cannot read."""
    return isinstance(values, (list, tuple)) and any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values)
    )


def narrowed(label: str, array: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Return an array in the dtype that JAX gives it: without x64 mode, integers of 64 bits become 32 bits.

    Raises:
        InputError: for an integer that would wrap around.
    """
    if isinstance(array, jax.Array):
        return array
    narrow = array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
    if array.dtype.kind in "iu" and (narrow != array).any():
        raise InputError(
            f"{label} has integers beyond {narrow.dtype}, which would wrap around; expected smaller ones, or JAX's x64 "
            f"mode"
        )
    return narrow


def as_jax(label: str, values: Any, dtype: Any = None) -> jax.Array:
    """Return values as a JAX array, of their own dtype or another one.

    Raises:
        InputError: as `as_numbers`, and for an integer that would wrap around.
    """
    return jnp.asarray(narrowed(label, as_numbers(label, values)), dtype)


def as_flag(label: str, value: Any) -> bool:
    """Return a bool; 0 and 1 count as False and True.

    Raises:
        InputError: for any other value.
    """
    if not isinstance(value, (bool, np.bool_, Integral)) or value not in (0, 1):
        raise InputError(f"{label} must be True or False, given {shown(value)}")
    return bool(value)


def as_count(label: str, value: Any, least: int) -> int:
    """Return an integer.

    Raises:
        InputError: for another type, or a number below `least` or of more than 31 bits.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or not least <= int(value) < 2**31:
        raise InputError(f"{label} must be an integer from {least} to {2**31 - 1}, given {shown(value)}")
    return int(value)


def as_whole_number(label: str, value: Any) -> Any:
    """Return an integer from 0 to 2**31 - 1 as int32; a traced one unchanged, whose value is unknown.

    Raises:
        InputError: for another type, shape or number.
    """
    if not isinstance(value, (jax.Array, np.ndarray)):
        return np.int32(as_count(label, value, 0))
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.integer):
        raise InputError(f"{label} must be one integer, given shape {value.shape} of dtype {value.dtype}")
    return value if isinstance(value, jax.core.Tracer) else np.int32(as_count(label, int(value), 0))


def as_positive(label: str, value: Any) -> float:
    """Return a positive finite number.

    Raises:
        InputError: for any other value.
    """
    if not 0 < (number := _real(value)) < math.inf:
        raise InputError(f"{label} must be a positive finite number, given {shown(value)}")
    return number


def as_share(label: str, value: Any) -> float:
    """Return a number from 0, with 0, to 1, without 1.

    Raises:
        InputError: for any other value.
    """
    if not 0 <= (number := _real(value)) < 1:
        raise InputError(f"{label} must be in [0, 1), given {shown(value)}")
    return number


def _real(value: Any) -> float:
    """Return a number as a float; NaN for anything else, and for a number beyond float64."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def as_mesh(label: str, value: Any) -> Any:
    """Return a mesh of JAX, `auto`, or None; True means `auto`, and False None.

    Raises:
        InputError: for any other value.
    """
    if isinstance(value, bool):
        return "auto" if value else None
    is_auto = isinstance(value, str) and value == "auto"
    if value is not None and not is_auto and not isinstance(value, Mesh):
        raise InputError(f"{label}: expected 'auto', True, None or jax.sharding.Mesh, given {shown(value)}")
    return value


def as_sequence(label: str, value: Any, length: int | None = None) -> Sequence[Any]:
    """Return a list or a tuple.

    Raises:
        InputError: for another type, or another number of entries than `length`.
    """
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{label} must be a list or a tuple, given {shown(value)}")
    if length is not None and len(value) != length:
        raise InputError(f"{label} has {len(value)} entries, expected {length}")
    return value
