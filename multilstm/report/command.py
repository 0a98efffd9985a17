"""The commands that repeat a run or some of its cells, as a user pastes them into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.report.cells import Cell
from multilstm.report.data import ReportData
from multilstm.report.words import printable

__all__ = ["options_of", "repeating_command", "run_command"]


def options_of(report: ReportData) -> Mapping[str, Any]:
    """Return the options of a run; empty where its environment has none."""
    options = report.environment.get("options")
    return options if isinstance(options, dict) else {}


def run_command(report: ReportData) -> str:
    """Return the command that repeats the run, without the options that name a cell.

    It is empty for a run from Python, and where a word contains a character that a reader could not see.
    """
    return _line(_run_words(report))


def repeating_command(report: ReportData, cells: Sequence[Cell]) -> str:
    """Return the command that computes some cells of one job again; empty where `run_command` is.

    Args:
        report: the report.
        cells: at least one of its cells; all have one case, engine, device, dtype and layers.
    """
    words = _run_words(report)
    if report.arguments is None:
        return ""
    job = cells[0]
    words += [] if report.arguments.model is not None else ["--case", job.case]
    engines = options_of(report).get("engines")
    words += ["--engine", job.engine] if isinstance(engines, (list, tuple)) and job.engine in engines else []
    words += ["--dtype", job.dtype, "--layers", job.layers]
    words += [] if job.device == "cpu" else ["--device", job.device]
    return _line([*words, "--quantity", *dict.fromkeys(cell.kind for cell in cells)])


def _run_words(report: ReportData) -> list[str]:
    """Return the words of `run_command`; empty for a run from Python."""
    if report.arguments is None:
        return []
    words = ["multilstm", "parity", *report.arguments.words()]
    for name in ("atol", "rtol"):
        value = options_of(report).get(name)
        if isinstance(value, (int, float)):
            words += [f"--{name}", f"{value:g}"]
            words += ["--any-tolerance"] if value > 1 and "--any-tolerance" not in words else []
    return words


def _line(words: Sequence[str]) -> str:
    """Return words as one line for a shell; empty if a word contains a character that a reader could not see."""
    line = shlex.join(words)
    return line if line == printable(line) and "\n" not in line else ""
