"""The plain data that a parser returns, and its limits of size."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from multilstm.errors import InputError, shown
from multilstm.spec.arrays import Array

__all__ = ["NAME_LIMIT", "OBJECT_LIMIT", "Budget", "Parsed", "as_plain", "check_name", "words"]

SMALL = 64 * 2**20  # bytes that any file may unpack to
RATIO = 16  # unpacked bytes for each byte of a larger file; Keras and PyTorch do not compress weights
OBJECT_LIMIT = 100_000  # arrays, groups or members of one file
NAME_LIMIT = 1000  # characters
RANK_LIMIT = 8
DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


@dataclasses.dataclass(frozen=True)
class Parsed:
    """The content of a file.

    Attributes:
        document: values of JSON. Arrays stand in it as their number in `arrays`.
        arrays: arrays of this machine's byte order, of the dtypes of `DTYPES`.
    """

    document: dict[str, Any]
    arrays: tuple[Array, ...] = ()


class Budget:
    """The number of bytes and objects that a file of some size may unpack to.

    Args:
        size: the bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self.limit = max(SMALL, RATIO * size)
        self.left = self.limit
        self.objects = OBJECT_LIMIT

    def take(self, where: str, size: int) -> None:
        """Reserve `size` bytes; raise InputError where too few are left."""
        if size > self.left:
            raise InputError(
                f"{where}: it claims {size:,} bytes, and the whole file may unpack to at most {self.limit:,}; the file "
                f"is broken, or made to fill the memory"
            )
        self.left -= size

    def count(self) -> None:
        """Count one object; raise InputError for too many."""
        self.objects -= 1
        if self.objects < 0:
            raise InputError(f"the file holds more than {OBJECT_LIMIT:,} objects; expected the weights of one model")

    def take_array(self, where: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Reserve the bytes of an array, whose dtype and rank are checked first."""
        if dtype.newbyteorder("=").str[1:] not in DTYPES:
            raise InputError(f"{where}: dtype is {shown(str(dtype))}, expected real numbers of at most 64 bits")
        if len(shape) > RANK_LIMIT:
            raise InputError(f"{where}: it has {len(shape)} axes, expected at most {RANK_LIMIT}")
        self.take(where, math.prod(shape) * dtype.itemsize)


def check_name(name: str, where: str) -> str:
    """Return `name`; raise InputError for one that is too long."""
    if len(name) > NAME_LIMIT:
        raise InputError(f"{where}: a name has {len(name):,} characters, expected at most {NAME_LIMIT:,}")
    return name


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: `net.tripletLoss_1` has `net`, `triplet` and `loss`."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def as_plain(array: Array) -> Array:
    """Return a copy in C order and in this machine's byte order, half precision widened to float32."""
    dtype = array.dtype.newbyteorder("=")
    return np.array(array, np.float32 if dtype == np.float16 else dtype, order="C")


def bfloat16_to_float32(bits: Array) -> Array:
    """Return bfloat16 numbers, given as `uint16` bits, as the equal float32 numbers."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
