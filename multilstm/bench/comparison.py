"""Comparison of two runs: the rows that became slower or faster beyond their spread, and those that cannot be compared.

A row is compared with that of the same workload, mode and engine, if the workload is the same computation in both runs.
Every other condition that differs is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from multilstm.bench.results import Benchmark, Facts, Row
from multilstm.report.text import flat

__all__ = ["Change", "Gap", "changes", "different_conditions", "gaps", "slower_than"]

SOURCES = ("source", "published")  # facts of a workload that change no time


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


class Gap(NamedTuple):
    """One row of the old run that has no time in the new one, or that the new one computed otherwise.

    Attributes:
        row: the row of the old run.
        reason: the reason for which it is not compared.
        is_failure: whether the engine failed in the new run, or could not run.
    """

    row: Row
    reason: str
    is_failure: bool


def changes(old: Benchmark, new: Benchmark) -> list[Change]:
    """Return the rows of the same workloads that both runs timed, the most slowed one first."""
    before = {row.place: row for row in old.timed if not _other_workload(old, new, row.workload)}
    found = [_change(before[row.place], row) for row in new.timed if row.place in before]
    return sorted(found, key=lambda change: -change.ratio)


def gaps(old: Benchmark, new: Benchmark) -> list[Gap]:
    """Return the rows of the old run that cannot be compared."""
    now = {row.place: row for row in new.rows}
    found = []
    for row in old.timed:
        again = now.get(row.place)
        if other := _other_workload(old, new, row.workload):
            found.append(Gap(row, other, is_failure=False))
        elif again is None and row.engine in new.skipped:
            found.append(Gap(row, f"it cannot run now: {new.skipped[row.engine]}", is_failure=True))
        elif again is None:
            found.append(Gap(row, "this run did not measure it", is_failure=False))
        elif not again.samples:
            found.append(Gap(row, again.failure or "it has no time now", is_failure=True))
    return found


def slower_than(found: list[Change], percent: float) -> list[Change]:
    """Return the rows that became slower beyond their spread, and by more than so many per cent."""
    return [change for change in found if change.word == "slower" and change.ratio > 1 + percent / 100]


def different_conditions(old: Benchmark, new: Benchmark) -> list[str]:
    """Return the conditions in which two runs differ, a line for each."""
    sides = [dict(_conditions(run)) for run in (old, new)]
    pairs = {name: tuple(side.get(name) for side in sides) for name in dict.fromkeys((*sides[0], *sides[1]))}
    return [f"{name}: {before} then, {now} now" for name, (before, now) in pairs.items() if before != now]


def _conditions(run: Benchmark) -> Iterator[tuple[str, str]]:
    """Yield names and texts of all conditions that may change a time."""
    yield from (("dtype", run.dtype), ("device", run.device))
    yield from ((name.removeprefix("versions: "), text) for name, text in flat(run.environment))
    yield from flat(run.method, "method")
    for name, contestant in run.contestants.items():
        yield from flat(dataclasses.asdict(contestant), name)
    for row in run.timed:
        if row.implementation:
            yield f"kernel of {'/'.join(row.place)}", row.implementation


def _other_workload(old: Benchmark, new: Benchmark, name: str) -> str:
    """Return the first fact in which a workload differs between two runs; empty if it is the same computation."""
    if name not in new.workloads:
        return "this run did not measure it"
    for field in dataclasses.fields(Facts):
        before, now = (getattr(run.workloads[name], field.name) for run in (old, new))
        is_unknown = field.name == "spec" and not (before and now)  # a file of before it was recorded
        if before != now and field.name not in SOURCES and not is_unknown:
            return f"another computation of the same name: {field.name} {before} then, {now} now"
    return ""


def _change(old: Row, new: Row) -> Change:
    before, now = old.quartiles_s, new.quartiles_s
    assert old.median_s is not None
    assert new.median_s is not None
    assert before is not None
    assert now is not None
    apart = now[0] > before[1] or now[1] < before[0]
    return Change(old, new, new.median_s / old.median_s, apart)
