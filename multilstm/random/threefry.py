"""Threefry-2x32 of 20 rounds, a counter-based generator, in int32 arithmetic that wraps.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", https://doi.org/10.1145/2063384.2063405.
The cipher has no state: it maps a key and a counter, two words of 32 bits each, to two words. Every framework adds,
shifts and compares int32 alike, so all of them give the same bits, on every device.
"""

from __future__ import annotations

import operator
from typing import Any

Words = tuple[Any, Any]
"""Two words of 32 bits: int32 tensors of one framework, whose shapes broadcast, or small Python integers among them."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_ROUNDS_OF_FOUR = 5


def threefry(key: Words, counter: Words, shifts: Any = operator) -> Words:
    """Return the two words of a counter.

    Args:
        key: two words.
        counter: two words; at least one word of key and counter is a tensor in each sum.
        shifts: has `lshift` and `rshift` of int32 tensors, by a Python integer. Tensors of TensorFlow have no operators
            for them; `operator` serves NumPy, JAX and PyTorch.
    """
    keys = (*key, key[0] ^ key[1] ^ _PARITY)
    first, second = counter[0] + keys[0], counter[1] + keys[1]
    first, second = first + 0 * second, second + 0 * first  # of the shape to which both broadcast
    # NumPy and PyTorch change these new arrays in place: new memory costs them more than the arithmetic.
    for group in range(_ROUNDS_OF_FOUR):
        for bits in _ROTATIONS[group % 2]:
            first += second
            low = shifts.rshift(second, 32 - bits)
            low &= (1 << bits) - 1  # an int32 is shifted with its sign, so the bits from the left are masked out
            second = shifts.lshift(second, bits)
            second |= low
            second ^= first
        first += keys[(group + 1) % 3]
        second += keys[(group + 2) % 3] + (group + 1)
    return first, second
