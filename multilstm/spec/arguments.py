"""What values are: the checks that every part of a spec makes of its arguments."""

from __future__ import annotations

import math
import numbers
from typing import Any

from multilstm.errors import SpecError


def is_integer(value: Any) -> bool:
    """Whether `value` is an integer, NumPy's included; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether `value` is a finite real number, NumPy's included; True and False are not."""
    try:
        return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def check_name(what: str, name: object) -> None:
    """Raises SpecError for the name of a layer or a model that could not be a key, or could not be written."""
    if not isinstance(name, str) or not name or "/" in name or any("\ud800" <= char <= "\udfff" for char in name):
        raise SpecError(f"{what}: name must be a non-empty string of Unicode characters without '/', got {name!r}")
