"""Keys: a seed and the number of a stream, folded with a step. `fold_in` is that of `jax.random`."""

from __future__ import annotations

import hashlib
import operator
from typing import Any

from multilstm.random.threefry import Words, threefry

__all__ = ["Words", "fold_in", "key", "stream"]


def stream(name: str) -> int:
    """Return the number of a stream, a signed integer of 32 bits: the first four bytes of SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little", signed=True)


def fold_in(words: Words, number: Any, shifts: Any = operator) -> Words:
    """Return the key of a number under a key, as `jax.random.fold_in`.

    Args:
        words: a key.
        number: an int32 tensor, or an integer of 32 bits.
        shifts: see `threefry`.
    """
    return threefry(words, (0, number), shifts)


def key(seed: Any, name: str, step: Any, shifts: Any = operator) -> Words:
    """Return the key of a step: `fold_in((seed, stream(name)), step)`.

    It is `jax.random.fold_in(jax.random.wrap_key_data([seed, stream]), step)`, of the implementation `threefry2x32`.

    Args:
        seed: an int32 tensor of any shape; in NumPy an array of one axis or more, whose sums wrap without a warning.
        name: the name of the stream.
        step: an int32 tensor of that shape, the number of draws before this one.
        shifts: see `threefry`.
    """
    return fold_in((seed, stream(name)), step, shifts)
