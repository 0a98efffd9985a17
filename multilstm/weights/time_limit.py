"""Time limit for drawing weights, which takes a minute for the largest models."""

from __future__ import annotations

import contextlib
import contextvars
import math
import time
from collections.abc import Iterator

from multilstm.errors import InputError

_LIMIT: contextvars.ContextVar[tuple[float, float]] = contextvars.ContextVar("limit", default=(math.inf, math.inf))


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit the time for drawing weights inside of this context."""
    token = _LIMIT.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def check_time() -> None:
    """Return if time is left.

    Raises:
        InputError: if the time limit has passed.
    """
    end, seconds = _LIMIT.get()
    if time.monotonic() > end:
        raise InputError(
            f"drawing the weights takes longer than {seconds:g} s; allow more with --timeout, or give the model fewer "
            f"units"
        )
