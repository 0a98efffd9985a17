"""The comparison of two arrays: distances, the table of tolerances, and the verdict on one quantity.

Two arrays and the row of a tolerance enter; a `Comparison` leaves. The room may import `jobs`, `spec` and `errors`.
"""

from multilstm.compare.comparison import (
    AGREES,
    FAILS,
    VERDICTS,
    Comparison,
    KnownRow,
    Mismatch,
    OverTime,
    compare,
    compare_batches,
)
from multilstm.compare.distances import Rounding
from multilstm.compare.quantity import KINDS, Quantity
from multilstm.compare.tolerances import TABLE, Tolerance, tolerance

__all__ = [
    "AGREES",
    "FAILS",
    "KINDS",
    "TABLE",
    "VERDICTS",
    "Comparison",
    "KnownRow",
    "Mismatch",
    "OverTime",
    "Quantity",
    "Rounding",
    "Tolerance",
    "compare",
    "compare_batches",
    "tolerance",
]
