"""Reports of several machines as one, where they judged the same inputs and weights by the same rules.

Reports that did not are kept apart, with the reason. An engine that has other packages in another file gets a row of
its own. Jobs in several files are counted, and their verdicts compared. Nothing is left out without a remark.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multilstm.compare import AGREES
from multilstm.report.cells import Cell, JobKey, in_order, weakest
from multilstm.report.command import options_of
from multilstm.report.report import Report
from multilstm.report.text import counted

__all__ = ["merged"]

SHOWN = 3  # jobs or cases that a remark names
RULES = ("atol", "rtol", "any_tolerance")


def merged(reports: Mapping[str, Report]) -> dict[str, Report]:
    """Return reports with those merged that may be.

    Args:
        reports: the reports by the path of each.

    Returns:
        The merged reports by the paths of each, joined with ` + `. Their remarks name the reports that are apart, the
        gaps, and the contradictions.
    """
    groups: list[dict[str, Report]] = []
    for path, report in reports.items():
        obstacles = []
        for group in groups:
            fault = next(filter(None, (_obstacle(other, first, report) for other, first in group.items())), "")
            if not fault:
                group[path] = report
                break
            obstacles.append(f"Not merged: {fault}.")
        else:
            groups.append({path: dataclasses.replace(report, remarks=(*report.remarks, *obstacles))})
    return {" + ".join(group): _one(group) for group in groups}


def _obstacle(path: str, first: Report, second: Report) -> str:
    """Return the reason for which two reports may not be merged, in words; empty for none."""
    versions = [str(report.environment.get("multilstm")) for report in (first, second)]
    if versions[0] != versions[1]:
        return f"{path} is of multilstm {versions[0]}, this report of {versions[1]}, with other cases and tolerances"
    if first.judge != second.judge:
        return f"{path} was compared with {first.judge}, this report with {second.judge}"
    rules = [{name: options_of(report).get(name) for name in RULES} for report in (first, second)]
    if rules[0] != rules[1]:
        return f"{path} has other tolerances: {rules[0]}, this report {rules[1]}"
    digests = [{(cell.case, cell.part): cell.digest for cell in report.cells} for report in (first, second)]
    common = [key for key in digests[0] if key in digests[1]]
    unknown = any(not side[key] for side in digests for key in common)
    if unknown:
        return f"{path} and this report have jobs in common, but not the digests of their inputs and weights"
    other = [" ".join(key) for key in common if digests[0][key] != digests[1][key]]
    if other:
        return f"{path} has another model, inputs or weights in {_named(other, 'part')}"
    cases = [{case for case, _ in side} for side in digests]
    apart = [case for case in dict.fromkeys(case for case, _ in digests[0]) if case in cases[1]]
    apart = [case for case in apart if case not in {case for case, _ in common}]
    return (
        f"{path} and this report have no part in common of {_named(apart, 'case')}: no digest shows one model"
        if apart
        else ""
    )


def _one(group: Mapping[str, Report]) -> Report:
    """Return the reports of a group as one."""
    if len(group) == 1:
        return next(iter(group.values()))
    reports = _with_own_rows(group)
    first = next(iter(reports.values()))
    jobs, remarks = _jobs(reports)
    cases = tuple(dict.fromkeys(case for report in reports.values() for case in _cases(report)))
    options = [options_of(report) for report in reports.values()]
    names = ((*_options(report, "engines"), *report.engines) for report in reports.values())
    engines = dict.fromkeys(itertools.chain.from_iterable(names))
    dtypes = dict.fromkeys(name for report in reports.values() for name in _options(report, "dtypes"))
    cells = tuple(in_order((cell for job in jobs.values() for cell in job), cases, engines, dtypes))
    ran = {cell.engine for cell in cells}
    arguments = {report.arguments for report in reports.values()}
    together: dict[str, Any] = {
        name: {key: value for report in reports.values() for key, value in getattr(report, name).items()}
        for name in ("skipped", "shortened", "ledger")
    }
    together["skipped"] = {name: reason for name, reason in together["skipped"].items() if name not in ran}
    for name in ("named", "without_recurrent", "without_judge", "idle_masks", "idle_limits", "origin"):
        together[name] = tuple(dict.fromkeys(item for report in reports.values() for item in getattr(report, name)))
    touches = {str(touch["id"]): touch for report in reports.values() for touch in report.touches}
    options_together = {**options[0], "engines": list(engines), "dtypes": list(dtypes)}
    return dataclasses.replace(
        first,
        cells=cells,
        environment=_environment(reports, options_together),
        seconds=sum(report.seconds for report in reports.values()),
        touches=tuple(touches.values()),
        arguments=first.arguments if len(arguments) == 1 else None,
        cases=cases,
        jobs=len(jobs),
        remarks=(*_earlier(reports), *remarks, *_gaps(cells)),
        **together,
    )


def _cases(report: Report) -> tuple[str, ...]:
    return report.cases or tuple(dict.fromkeys(cell.case for cell in report.cells))


def _options(report: Report, name: str) -> Sequence[str]:
    value = options_of(report).get(name)
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else ()


def _versions(report: Report, engine: str) -> Any:
    """Return the versions of the packages of an engine; those of the whole environment where no others are known."""
    engines = report.environment.get("engines")
    facts = engines.get(engine) if isinstance(engines, Mapping) else None
    return facts.get("versions") if isinstance(facts, Mapping) else report.environment.get("versions")


def _with_own_rows(group: Mapping[str, Report]) -> dict[str, Report]:
    """Return the reports; an engine whose packages differ between them is named after its file: `keras-jax@old`."""
    versions: dict[str, list[Any]] = {}
    for report in group.values():
        for engine in report.engines:
            known = versions.setdefault(engine, [])
            if _versions(report, engine) not in known:
                known.append(_versions(report, engine))
    stems = Counter(pathlib.Path(path).stem for path in group)
    reports = {}
    for path, report in group.items():
        stem = pathlib.Path(path).stem
        label = stem if stems[stem] == 1 else path
        names = {engine: f"{engine}@{label}" for engine in report.engines if len(versions[engine]) > 1}
        reports[path] = _renamed(report, names) if names else report
    return reports


def _renamed(report: Report, names: Mapping[str, str]) -> Report:
    options = options_of(report)
    engines = [names.get(engine, engine) for engine in _options(report, "engines")]
    facts = {names.get(engine, engine): {"versions": _versions(report, engine)} for engine in report.engines}
    return dataclasses.replace(
        report,
        cells=tuple(dataclasses.replace(cell, engine=names.get(cell.engine, cell.engine)) for cell in report.cells),
        environment={**report.environment, "options": {**options, "engines": engines}, "engines": facts},
        named=tuple(names.get(engine, engine) for engine in report.named),
    )


def _jobs(reports: Mapping[str, Report]) -> tuple[dict[JobKey, list[Cell]], list[str]]:
    """Return the cells of each job, and remarks on the jobs that several reports have."""
    jobs: dict[JobKey, list[Cell]] = {}
    owners: dict[JobKey, str] = {}
    same, other = [], []
    for path, report in reports.items():
        by_job: dict[JobKey, list[Cell]] = {}
        for cell in report.cells:
            by_job.setdefault(cell.job, []).append(cell)
        for job, cells in by_job.items():
            if job not in jobs:
                jobs[job], owners[job] = cells, path
                continue
            difference = _difference(jobs[job], cells)
            if not difference:
                same.append(str(job))
                continue
            other.append(f"{job}: {difference[0]} in {owners[job]}, {difference[1]} in {path}")
            if weakest([*jobs[job], *cells]) in cells:
                jobs[job], owners[job] = cells, path
    remarks = [f"Twice, with the same verdicts: {_named(same, 'job')}."] if same else []
    if other:
        remarks.append(f"Contradictory, the weaker one is shown: {_named(other, 'job')}.")
    return jobs, remarks


def _difference(first: Sequence[Cell], second: Sequence[Cell]) -> tuple[str, str] | None:
    """Return the verdicts on the first quantity on which two results of one job disagree; None if they agree."""
    verdicts = [{str(cell.quantity): cell.verdict for cell in cells} for cells in (first, second)]
    for quantity in dict.fromkeys((*verdicts[0], *verdicts[1])):
        one, two = (side.get(quantity, "missing") for side in verdicts)
        if one != two and not {one, two} <= set(AGREES):
            return f"{quantity} {one}", two
    return None


def _earlier(reports: Mapping[str, Report]) -> Iterator[str]:
    for path, report in reports.items():
        yield from (f"{path}: {remark}" for remark in report.remarks)


def _gaps(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the cases that some engines have in a dtype, and others lack."""
    done: dict[str, set[tuple[str, str]]] = {}
    for cell in cells:
        done.setdefault(cell.engine, set()).add((cell.case, cell.dtype))
    every = dict.fromkeys((cell.case, cell.dtype) for cell in cells)
    for engine, pairs in done.items():
        lacking = [" ".join(pair) for pair in every if pair not in pairs]
        if lacking:
            yield f"Gap: {engine} lacks {_named(lacking, 'case')} that another engine has."


def _environment(reports: Mapping[str, Report], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that all environments share, the versions of each engine, and all others by file."""
    environments = [report.environment for report in reports.values()]
    apart = ("options", "engines")
    names = [name for name in dict.fromkeys(name for facts in environments for name in facts) if name not in apart]
    shared = [name for name in names if all(facts.get(name) == environments[0].get(name) for facts in environments)]
    files = {
        path: {name: report.environment[name] for name in names if name in report.environment and name not in shared}
        for path, report in reports.items()
    }
    engines = {
        engine: {"versions": _versions(report, engine)} for report in reports.values() for engine in report.engines
    }
    together = {**{name: environments[0][name] for name in shared if name in environments[0]}, "options": options}
    return {**together, "engines": engines, **({"files": files} if any(files.values()) else {})}


def _named(names: Sequence[str], noun: str) -> str:
    """Return a number of things with the first few of them, such as `2 jobs (a; b)`."""
    more = "; ..." if len(names) > SHOWN else ""
    return f"{counted(len(names), noun)} ({'; '.join(names[:SHOWN])}{more})"
