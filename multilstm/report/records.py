"""The records of a run: JSON lines, one for the run, one for each judged job, and one for the verdict.

    {"schema": 3, "run": {"environment": ..., "cases": [...], "jobs": 12, ...}}
    {"job": {"case": "seed1", "engine": "keras-jax", ..., "quantities": 9, "cells": [...]}}
    {"end": {"seconds": 12.5, "verdict": "Same answers ...", "ledger": {...}}}

The first line describes the run, and each further one a judged job. The counts of jobs and of quantities
show what was removed from a file. Only the file of a complete run has the last line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from multilstm.report.cells import Cell, JobKey
from multilstm.report.data import SCHEMA, ReportData
from multilstm.report.sentences import sentence_of
from multilstm.report.text import json_line

__all__ = ["end_record", "header_record", "job_record", "json_lines"]

AT_THE_END = ("seconds", "ledger")
NOT_WRITTEN = (*AT_THE_END, "cells", "remarks")


def json_lines(report: ReportData) -> Iterator[str]:
    """Yield the lines of a complete run."""
    by_job: dict[JobKey, list[Cell]] = {}
    for cell in report.cells:
        by_job.setdefault(cell.job, []).append(cell)
    jobs = len(by_job) if report.jobs else 0  # a job without a wanted quantity leaves no cell
    yield json_line(header_record(dataclasses.replace(report, jobs=jobs)))
    for job, cells in by_job.items():
        yield json_line(job_record(job, cells[0].digest, cells, report.seconds))
    yield json_line(end_record(report))


def header_record(report: ReportData) -> dict[str, Any]:
    """Return the first line of a run: its description without its cells."""
    names = [field.name for field in dataclasses.fields(report) if field.name not in NOT_WRITTEN]
    run = {name: getattr(report, name) for name in names}
    run["arguments"] = None if report.arguments is None else dataclasses.asdict(report.arguments)
    return {"schema": SCHEMA, "run": run}


def job_record(job: JobKey, digest: str, cells: Sequence[Cell], elapsed_s: float) -> dict[str, Any]:
    """Return the line of a judged job; `elapsed_s` counts the seconds since the run began."""
    fields = {**job._asdict(), "digest": digest, "elapsed_s": round(elapsed_s, 3), "quantities": len(cells)}
    return {"job": {**fields, "cells": [cell.to_dict() for cell in cells]}}


def end_record(report: ReportData) -> dict[str, Any]:
    """Return the last line of a complete run: its verdict."""
    return {"end": {"verdict": sentence_of(report), **{name: getattr(report, name) for name in AT_THE_END}}}
