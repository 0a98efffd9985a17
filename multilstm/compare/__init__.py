"""Comparing: distances, the table of tolerances, and the verdict on one quantity."""

from multilstm.compare.comparison import AGREES, FAILS, VERDICTS, Comparison, compare
from multilstm.compare.distances import Rounding
from multilstm.compare.tolerances import QUANTITIES, TABLE, Tolerance, tolerance

__all__ = [
    "AGREES", "FAILS", "QUANTITIES", "TABLE", "VERDICTS", "Comparison", "Rounding", "Tolerance", "compare", "tolerance",
]  # fmt: skip
