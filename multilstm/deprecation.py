"""A decorator for functions, methods and classes that a later version removes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def deprecated(*, remove_in: str, use_instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator whose function warns at each call; `tests/test_deprecation.py` enforces the removal.

    Args:
        remove_in: the version that no longer has the function, such as `"0.3.0"`.
        use_instead: the replacement, as a user writes it.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        message = (
            f"{function.__module__}.{function.__qualname__} is deprecated and goes in multilstm {remove_in}; "
            f"use {use_instead} instead"
        )

        @functools.wraps(function)
        def warn(*arguments: P.args, **keywords: P.kwargs) -> R:
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return function(*arguments, **keywords)

        return warn

    return decorate
