"""Contestants of the benchmarks: LSTMs of several frameworks, each in a process of its own.

A `Problem` enters a contestant: shape, inputs and weights. Functions that compute its quantities leave it.
`registry` lists the contestants without an import of any framework.
"""

from multilstm.bench.contestants.registry import CONTESTANTS, TRAINERS, ContestantRow, contestant_row

__all__ = ["CONTESTANTS", "TRAINERS", "ContestantRow", "contestant_row"]
