"""The shared frame of the benchmark programs: their application, options and checks."""

from __future__ import annotations

from cyclopts import App

from multilstm.bench.rounds import Method
from multilstm.errors import UsageError
from multilstm.report.files import check_writable

LONGEST_PAUSE_S = 3600.0


def program(name: str) -> App:
    """Return the application of `python -m multilstm.bench.NAME`."""
    return App(
        name=f"python -m multilstm.bench.{name}",
        help_format="markdown",
        version_flags=(),
        suppress_keyboard_interrupt=False,
    )


def checked_method(rounds: int, pause: float, seed: int, json: str | None) -> Method:
    """Return the method of these options, after a check of them and of the result file.

    Raises:
        UsageError: for fewer than one round, or a pause outside of the range.
        InputError: if the result file cannot be written.
    """
    if rounds < 1:
        raise UsageError(f"--rounds must be at least 1, given {rounds}")
    if not 0 <= pause <= LONGEST_PAUSE_S:
        raise UsageError(f"--pause must be from 0 to {LONGEST_PAUSE_S:g} seconds, given {pause:g}")
    if json is not None:
        check_writable(json)
    return Method(rounds=rounds, pause_s=pause, seed=seed)
