"""The catalogue: every case by its name."""

from __future__ import annotations

from fnmatch import fnmatchcase

from multilstm.case import Case
from multilstm.catalogue.seeds import seeds
from multilstm.catalogue.sweep import sweep
from multilstm.errors import UsageError, choice


def catalogue(full: bool = False) -> dict[str, Case]:
    """All cases by name, in order; long programs are shortened unless `full`."""
    cases: dict[str, Case] = {}
    for case in (*seeds(full), *sweep(full)):
        if case.name in cases:
            raise AssertionError(f"two cases have the name {case.name!r}")
        cases[case.name] = case
    return cases


def select(patterns: tuple[str, ...], full: bool = False) -> tuple[Case, ...]:
    """The cases whose names match one of the patterns, in the catalogue's order; all of them without a pattern.

    Args:
        patterns: names, or globs such as `seed1*`.
        full: whole programs.

    Raises:
        UsageError: for a pattern that matches no case.
    """
    cases = catalogue(full)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in cases):
            raise UsageError(choice("case", pattern, cases))
    return tuple(case for name, case in cases.items() if not patterns or any(fnmatchcase(name, p) for p in patterns))
