"""Comparison of two runs: the rows that became slower or faster beyond their spread."""

from __future__ import annotations

from typing import NamedTuple

from multilstm.bench.results import Benchmark, Row

__all__ = ["Change", "changes", "different_conditions", "slower_than"]


class Change(NamedTuple):
    """One row in both runs.

    Attributes:
        old: the row of the old run.
        new: the row of the new run.
        ratio: the new median divided by the old one; above 1 the row became slower.
        is_beyond_spread: whether the middle halves of the samples of both runs have no time in common.
    """

    old: Row
    new: Row
    ratio: float
    is_beyond_spread: bool

    @property
    def word(self) -> str:
        """`slower`, `faster` or `same`."""
        if not self.is_beyond_spread:
            return "same"
        return "slower" if self.ratio > 1 else "faster"


def changes(old: Benchmark, new: Benchmark) -> list[Change]:
    """Return the rows that both runs timed, the most slowed one first."""
    before = {row.place: row for row in old.timed}
    found = [_change(before[row.place], row) for row in new.timed if row.place in before]
    return sorted(found, key=lambda change: -change.ratio)


def slower_than(found: list[Change], percent: float) -> list[Change]:
    """Return the rows that became slower beyond their spread, and by more than so many per cent."""
    return [change for change in found if change.word == "slower" and change.ratio > 1 + percent / 100]


def different_conditions(old: Benchmark, new: Benchmark) -> list[str]:
    """Return the conditions in which two runs differ, a line for each."""
    pairs = {
        "dtype": (old.dtype, new.dtype),
        "device": (old.device, new.device),
        **{
            name: (old.environment.get(name), new.environment.get(name))
            for name in ("processor", "cores", "multilstm", "python")
        },
    }
    versions = [run.environment.get("versions") for run in (old, new)]
    if all(isinstance(version, dict) for version in versions):
        names = dict.fromkeys(name for version in versions for name in version or ())
        pairs |= {name: tuple((version or {}).get(name) for version in versions) for name in names}
    return [f"{name}: {before} then, {now} now" for name, (before, now) in pairs.items() if before != now]


def _change(old: Row, new: Row) -> Change:
    before, now = old.quartiles_s, new.quartiles_s
    assert old.median_s is not None
    assert new.median_s is not None
    assert before is not None
    assert now is not None
    apart = now[0] > before[1] or now[1] < before[0]
    return Change(old, new, new.median_s / old.median_s, apart)
