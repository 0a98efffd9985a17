"""New names for parts of a model that is written, or read from a file without names."""

from __future__ import annotations

__all__ = ["unused"]


def unused(name: str, taken: set[str], number: int = 1) -> str:
    """Return the name, or if it is taken the first free one of `name_2`, `name_3`, ..., and add it to those taken.

    Args:
        name: the name.
        taken: the names that exist.
        number: the number before the first one that is tried; 0 for `name_1`.
    """
    free = name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free
