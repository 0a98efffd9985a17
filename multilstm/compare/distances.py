"""Distances between two arrays: absolute, in units in the last place, and in bits after rounding to float32."""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.spec.arrays import Array

_INTEGERS: dict[str, type[np.int32] | type[np.int64]] = {"float32": np.int32, "float64": np.int64}


@dataclasses.dataclass(frozen=True)
class Rounding:
    """The number of float64 values that still differ after rounding to float32.

    Attributes:
        values: the number of compared values.
        near: the number of desired values that are nearer to a rounding boundary of float32 than the tolerance. Their
            bits prove nothing. Tiny values are among them.
        differing: the number of the other values that differ in a float32 bit.
    """

    values: int = 0
    near: int = 0
    differing: int = 0

    def __add__(self, other: Rounding) -> Rounding:
        return Rounding(self.values + other.values, self.near + other.near, self.differing + other.differing)


def max_abs(actual: Array, desired: Array) -> float:
    """Return `max |actual - desired|`.

    The distance is infinite where one value is NaN or infinite and the other is not. It is 0 for empty arrays.
    """
    if actual.size == 0:
        return 0.0
    actual, desired = actual.astype(np.float64), desired.astype(np.float64)
    same = (actual == desired) | (np.isnan(actual) & np.isnan(desired))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(actual - desired))
    return float(np.where(np.isnan(distance), np.inf, distance).max())


def max_ulp(actual: Array, desired: Array, dtype: str) -> int:
    """Return the largest distance in steps from one value of `dtype` to the next; 0 for equal bits, or for 0 and -0."""
    if actual.size == 0:
        return 0
    steps = _ordered(actual, dtype).astype(np.float64) - _ordered(desired, dtype).astype(np.float64)
    return int(np.abs(steps).max())


def same_bits(actual: Array, desired: Array, dtype: str) -> bool:
    """Whether two arrays have the same bits after rounding to `dtype`."""
    integer = _INTEGERS[dtype]
    first, second = (np.ascontiguousarray(array, dtype).view(integer) for array in (actual, desired))
    return bool((first == second).all())


def rounding(actual: Array, desired: Array, tolerance: Array) -> Rounding:
    """Compare float64 arrays after rounding to float32, with a tolerance for each value; see `Rounding`."""
    desired = desired.astype(np.float64)
    near = (desired - tolerance).astype(np.float32) != (desired + tolerance).astype(np.float32)
    differ = actual.astype(np.float32).view(np.int32) != desired.astype(np.float32).view(np.int32)
    return Rounding(int(desired.size), int(near.sum()), int((differ & ~near).sum()))


def _ordered(array: Array, dtype: str) -> Array:
    """Return the bits as integers that have the order of the numbers."""
    integer = _INTEGERS[dtype]
    bits: Array = np.ascontiguousarray(array, dtype).view(integer).astype(np.int64)
    return np.where(bits < 0, np.iinfo(integer).min - bits, bits)
