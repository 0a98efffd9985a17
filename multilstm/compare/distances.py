"""How far two arrays are apart: absolute, relative, in units in the last place, and after rounding to float32."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.spec.arrays import Array

_INTEGERS: dict[str, type[np.int32] | type[np.int64]] = {"float32": np.int32, "float64": np.int64}


@dataclasses.dataclass(frozen=True)
class Rounding:
    """What rounding to float32 leaves of a difference in float64.

    Attributes:
        values: how many values were compared.
        near: how many desired values lie nearer to a rounding boundary of float32 than the tolerance, so that their
            bits say nothing (tiny values are among them).
        differing: how many of the others differ in a float32 bit.
    """

    values: int = 0
    near: int = 0
    differing: int = 0

    def __add__(self, other: Rounding) -> Rounding:
        return Rounding(self.values + other.values, self.near + other.near, self.differing + other.differing)


def max_abs(actual: Array, desired: Array) -> float:
    """`max |actual - desired|`; 0 for empty arrays, infinity where one is NaN or infinite and the other is not."""
    if actual.size == 0:
        return 0.0
    actual, desired = actual.astype(np.float64), desired.astype(np.float64)
    same = (actual == desired) | (np.isnan(actual) & np.isnan(desired))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(actual - desired))
    return float(np.where(np.isnan(distance), np.inf, distance).max())


def max_ulp(actual: Array, desired: Array, dtype: str) -> int:
    """The largest number of representable values of `dtype` from desired to actual (0: the same bits, or 0 and -0)."""
    if actual.size == 0:
        return 0
    steps = _ordered(actual, dtype).astype(np.float64) - _ordered(desired, dtype).astype(np.float64)
    return int(np.abs(steps).max())


def same_bits(actual: Array, desired: Array, dtype: str) -> bool:
    """Whether both have the same bits after rounding to `dtype`."""
    integer = _INTEGERS[dtype]
    first, second = (np.ascontiguousarray(array, dtype).view(integer) for array in (actual, desired))
    return bool((first == second).all())


def rounding(actual: Array, desired: Array, tolerance: Array) -> Rounding:
    """Compares float64 arrays after rounding to float32, with a tolerance for each value; see `Rounding`."""
    desired = desired.astype(np.float64)
    near = (desired - tolerance).astype(np.float32) != (desired + tolerance).astype(np.float32)
    differ = actual.astype(np.float32).view(np.int32) != desired.astype(np.float32).view(np.int32)
    return Rounding(int(desired.size), int(near.sum()), int((differ & ~near).sum()))


def _ordered(array: Array, dtype: str) -> Array:
    """Bits as integers in the order of the numbers that they mean."""
    integer = _INTEGERS[dtype]
    bits: Array = np.ascontiguousarray(array, dtype).view(integer).astype(np.int64)
    return np.where(bits < 0, np.iinfo(integer).min - bits, bits)
