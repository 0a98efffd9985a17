"""The private part of Hypothesis that a seed needs, to mean the same models everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["without_constants_of_modules"]


@contextlib.contextmanager
def without_constants_of_modules() -> Iterator[None]:
    """Draw no number of the source of an imported module.

    Since version 6.131, Hypothesis now and then draws such numbers, of all modules outside of site-packages. One seed
    would then mean other models after each import and in each installation. A folder `.hypothesis` would be written
    into the current folder.
    """
    from hypothesis.internal.conjecture import providers

    pool: Any = providers
    if not hasattr(pool, "_get_local_constants"):  # an older version
        yield
        return
    collect = pool._get_local_constants
    nothing = type(pool._local_constants)()
    pool._get_local_constants = lambda: nothing
    pool.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        pool._get_local_constants = collect
        pool.CONSTANTS_CACHE.cache.clear()
