"""Covering arrays: few rows that hold every combination of values of any `strength` options.

A fault that needs one value of each of two options shows in an array of strength 2. A fault that needs three shows in
one of strength 3 (Kuhn, Kacker and Lei 2010, https://doi.org/10.6028/NIST.SP.800-142). The choice is greedy and
deterministic.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]


def product(factors: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the values of all factors."""
    for values in itertools.product(*factors.values()):
        yield dict(zip(factors, values, strict=True))


def tuples(row: Row, strength: int) -> Iterator[tuple[tuple[str, Any], ...]]:
    """Yield every combination of `strength` factors of the row, with their values."""
    return itertools.combinations(row.items(), strength)


def covering(rows: Sequence[Row], strength: int) -> list[int]:
    """Return the places of few rows that hold each combination of `strength` values that any row holds.

    Args:
        rows: all possible rows, with the same factors in the same order. Of equally good rows the first is chosen.
        strength: the number of factors in a combination.

    Returns:
        Places in `rows`, in the order in which they were chosen.
    """
    numbers: dict[Any, int] = {}
    held = np.array([[numbers.setdefault(held, len(numbers)) for held in tuples(row, strength)] for row in rows])
    missing = np.ones(len(numbers), bool)
    chosen = []
    while missing.any():
        best = int(missing[held].sum(axis=1).argmax())
        missing[held[best]] = False
        chosen.append(best)
    return chosen
