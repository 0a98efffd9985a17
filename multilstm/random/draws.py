"""Random arrays of NumPy from a seed, the name of a stream and a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from multilstm.random.arguments import check_name, check_rate, check_seed, check_shape, check_step
from multilstm.random.masks import keeps, mask_bits
from multilstm.random.streams import Words, key

Array = np.ndarray[Any, Any]


def bits(seed: int, stream: str, step: int, shape: Sequence[int]) -> Array:
    """Return 32 random bits for every element, as int32 `shape`, those of `jax.random.bits` of the same key.

    Args:
        seed: from 0 to 2**31 - 1.
        stream: a name; other names give independent numbers.
        step: the number of draws before this one, from 0 to 2**31 - 1.
        shape: the shape, of fewer than 2**32 elements.

    Raises:
        InputError: for a seed or a step out of range, and for another stream or shape.
    """
    shape = check_shape("bits", shape)
    return _bits(_key("bits", seed, stream, step), 1, math.prod(shape)).reshape(shape)


def uniform(seed: int, stream: str, step: int, shape: Sequence[int]) -> Array:
    """Return float64 multiples of 2**-53 in [0, 1), `shape`; of 53 bits, from two words each.

    Args:
        seed: see `bits`.
        stream: see `bits`.
        step: see `bits`.
        shape: see `bits`.

    Raises:
        InputError: for a seed or a step out of range, and for another stream or shape.
    """
    high, low = bits(seed, stream, step, (2, *check_shape("uniform", shape))).view(np.uint32).astype(np.uint64)
    words: Array = (high >> np.uint64(6)) * np.uint64(2**27) + (low >> np.uint64(5))
    return words * 2.0**-53


def dropout_mask(seed: int, stream: str, step: int, rate: float, shape: Sequence[int], gates: bool = False) -> Array:
    """Return a dropout mask: 0 where a value is dropped, `1 / (1 - rate)` elsewhere.

    Args:
        seed: see `bits`.
        stream: `dropout` or `recurrent_dropout`, or `backward` of one of them.
        step: the number of training batches before this one.
        rate: the share that is dropped, 0 <= rate < 1.
        shape: `[batch, ...]`; with `gates`, `[gates, batch, size]`. The mask of a row does not depend on the batch.
        gates: whether the first axis is that of gates.

    Returns:
        float64 `shape`.

    Raises:
        InputError: for a seed, a step or a rate out of range, and for another stream or shape.
    """
    rate, shape = check_rate("dropout_mask", rate), check_shape("dropout_mask", shape, 2 if gates else 1)
    words = _key("dropout_mask", seed, stream, step)
    count, batch, *sizes = shape if gates else (1, *shape)
    values = keeps(_bits(words, batch, count * math.prod(sizes)), rate) / (1 - rate)
    by_row: Array = values.reshape(batch, count, *sizes)
    return by_row.swapaxes(0, 1) if gates else by_row.reshape(shape)


def derived_seed(seed: int, name: str) -> int:
    """Return the seed of a layer from one seed and the layer's name.

    Args:
        seed: see `bits`.
        name: the name of the layer.

    Raises:
        InputError: for a seed out of range, and for a name that is no text.
    """
    return int(bits(seed, f"seed of {check_name('derived_seed', name)}", 0, (1,))[0]) & (2**31 - 1)


class Draws:
    """Successive random numbers, with the two methods of `numpy.random.Generator` that initial weights need.

    Args:
        seed: from 0 to 2**31 - 1.
        stream: the name of the stream.

    Raises:
        InputError: for a seed out of range.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._seed, self._stream, self._step = check_seed("Draws", seed), stream, 0

    def uniform(self, low: float, high: float, shape: Sequence[int]) -> Array:
        """Return float64 in [low, high), `shape`."""
        self._step += 1
        return low + (high - low) * uniform(self._seed, self._stream, self._step - 1, shape)

    def standard_normal(self, shape: int | Sequence[int]) -> Array:
        """Return float64 of mean 0 and variance 1, `shape`.

        Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645.
        """
        sizes = tuple(np.atleast_1d(shape))
        radius, angle = self.uniform(0.0, 1.0, (2, *sizes))
        normal: Array = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
        return normal


def _key(where: str, seed: int, stream: str, step: int) -> Words:
    seeds, steps = np.array([check_seed(where, seed)], np.int32), np.array([check_step(where, step)], np.int32)
    return key(seeds, check_name(where, stream), steps)


def _bits(words: Words, rows: int, positions: int) -> Array:
    of_rows = np.arange(rows, dtype=np.int32)[:, None]
    drawn: Array = mask_bits(words, of_rows, np.arange(positions, dtype=np.uint32).view(np.int32)[None])
    return drawn
