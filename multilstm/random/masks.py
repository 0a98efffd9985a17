"""Dropout masks as bits: the layout of the counter, and the comparison that decides which values are kept.

A value of row r (a sequence of the batch) at position p in its row has the counter (r, p). So the mask of a row depends
on neither the batch size nor the devices that share the batch. Integers are compared, so no rounding decides.
"""

from __future__ import annotations

import operator
from typing import Any

from multilstm.random.streams import Words
from multilstm.random.threefry import threefry

_KEPT = 2**31 - 1


def backward(kind: str) -> str:
    """Return the stream of a layer that reads its sequences backwards; a Bidirectional gives both layers one seed."""
    return f"backward/{kind}"


def mask_bits(words: Words, rows: Any, positions: Any, shifts: Any = operator) -> Any:
    """Return 32 random bits for every value, as int32; for one row the bits of `jax.random.bits` of this key.

    Args:
        words: a key.
        rows: int32 `[rows, 1]`, from 0.
        positions: int32 `[1, positions]`, from 0.
        shifts: see `threefry`.

    Returns:
        `[rows, positions]`.
    """
    first, second = threefry(words, (rows, positions), shifts)
    return first ^ second


def keeps(bits: Any, rate: float, shifts: Any = operator) -> Any:
    """Return which values are kept, as booleans: a share of 1 - rate, rounded to a multiple of 2**-31.

    Args:
        bits: int32.
        rate: the share that is dropped.
        shifts: see `threefry`.
    """
    return (shifts.rshift(bits, 1) & _KEPT) <= round((1 - rate) * 2**31) - 1
