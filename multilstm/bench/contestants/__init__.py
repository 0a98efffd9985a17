"""Contestants of the benchmarks: LSTMs of several frameworks, each in a process of its own.

A job and a mode enter a contestant; a call that computes it leaves.
`registry` lists the contestants without an import of any framework.
"""

from multilstm.bench.contestants.registry import CONTESTANTS, ContestantRow, contestant_row

__all__ = ["CONTESTANTS", "ContestantRow", "contestant_row"]
