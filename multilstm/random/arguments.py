"""Checks of seeds, steps, rates, names of streams, and shapes."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from multilstm.errors import InputError, shown

LIMIT = 2**31
"""Seeds and steps are below it, since every backend of Keras holds them in a variable of 32 bits or more."""


def check_seed(where: str, value: Any) -> int:
    """Return the seed as an integer.

    Args:
        where: the place of the seed in a message.
        value: the seed.

    Raises:
        InputError: for anything but an integer with 0 <= seed < 2**31.
    """
    return _below_limit(f"{where}: seed", value, "choose a smaller one")


def check_step(where: str, value: Any) -> int:
    """Return the step, the number of draws before this one, as an integer.

    Raises:
        InputError: for anything but an integer with 0 <= step < 2**31.
    """
    return _below_limit(f"{where}: step", value, "count steps from 0")


def check_rate(where: str, value: Any) -> float:
    """Return the share of values that is dropped.

    Raises:
        InputError: for anything but a number with 0 <= rate < 1.
    """
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.floating)) or not 0 <= float(value) < 1:
        raise InputError(f"{where}: rate must be a number with 0 <= rate < 1, given {shown(value)}; give 0.2 for 20 %")
    return float(value)


def check_name(where: str, value: Any) -> str:
    """Return the name of a stream or a layer.

    Raises:
        InputError: for anything but text.
    """
    if not isinstance(value, str):
        raise InputError(f"{where}: a name must be text, such as 'dropout', given {shown(value)}")
    return value


def check_shape(where: str, value: Any, axes: int = 0) -> tuple[int, ...]:
    """Return a shape as a tuple of integers.

    Args:
        where: the place of the shape in a message.
        value: the shape.
        axes: the least number of axes.

    Raises:
        InputError: for another type, too few axes, or a negative size. Also for 2**32 elements, which a counter of 32
            bits cannot count.
    """
    if not isinstance(value, (tuple, list)) or len(value) < axes:
        raise InputError(f"{where}: shape must be a tuple of at least {axes} sizes, given {shown(value)}")
    sizes = tuple(_below_limit(f"{where}: a size of shape", size, "give whole sizes") for size in value)
    if math.prod(sizes) >= 2**32:
        raise InputError(f"{where}: shape must have fewer than 2**32 elements, given {shown(value)}; draw it in parts")
    return sizes


def _below_limit(what: str, value: Any, remedy: str) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not 0 <= value < LIMIT:
        raise InputError(f"{what} must be an integer from 0 to 2**31 - 1, given {shown(value)}; {remedy}")
    return int(value)
