"""The comparison of cases on engines with the reference.

Each engine has one thread and one process, or one thread for each worker that a pool of other machines has for it. As
many local jobs run at a time as there are cores. The reference computes every case once, in float64.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.errors import UsageError, listed
from multilstm.execution.availability import Availability
from multilstm.execution.environment import environment
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import Quantities
from multilstm.frameworks.machine import cores
from multilstm.ledger.matching import explaining_rows, touches
from multilstm.report.arguments import Arguments
from multilstm.report.cells import JobKey, in_order
from multilstm.report.report import Report
from multilstm.report.run_file import RunFile
from multilstm.suite.collected import Collected, Due, OnProgress
from multilstm.suite.drift import drift
from multilstm.suite.hidden_masks import idle_masks
from multilstm.suite.idle_limits import idle_limits
from multilstm.suite.judge import Judge
from multilstm.suite.recorded import RECORDED, judge_recorded, judged_in
from multilstm.suite.schedule import judge_work
from multilstm.suite.unjudged import compare_all_pairs
from multilstm.weights.time_limit import time_limit
from multilstm.workers import Pool, WorkerPool

__all__ = ["compare_cases", "worker_pool"]


def worker_pool(options: Options) -> WorkerPool:
    """Return worker processes for a run; as many compute at a time as there are cores, which they share."""
    parallel = min(cores(), len(options.engines) + 1)
    return WorkerPool(options.timeout_s, max(1, cores() // parallel), parallel, options.memory_gb)


def compare_cases(
    cases: Sequence[Case],
    options: Options,
    on_progress: OnProgress = lambda _: None,
    *,
    availability: Availability | None = None,
    pool: Pool | None = None,
    recorded: Quantities | None = None,
    arguments: Arguments | None = None,
    file: RunFile | None = None,
) -> Report:
    """Run every case on every engine, and judge it.

    Args:
        cases: the cases.
        options: engines, dtypes, layers, device and tolerances.
        on_progress: called after each part, from the threads of the engines.
        availability: the engines that were skipped, for the report.
        pool: workers for several calls in a row, as `worker_pool` returns them; None: new ones for this call.
        recorded: answers of another program to the forward pass of the only case; they are judged as an engine's.
        arguments: the choice of models on the command line, for the report.
        file: the file to which each judged job is appended. The jobs of its earlier run are not judged again.

    Returns:
        The report, its cells by case, engine and dtype in the order given.

    Raises:
        EngineUnavailableError: if an engine of `options.engines` cannot run here.
        InputError: if drawing the weights of a case exceeds the time limit of a job. Also if the file's earlier run had
            other versions, options, cases, inputs, weights or recorded answers.
    """
    due = {job.key(engine, options): job for engine in options.engines for job in _due(cases, options, engine)}
    if recorded:
        _check_judged(cases[0])
        _check_wanted(recorded, options)
        answers = Due(cases[0], judged_in(recorded, options), Part.FORWARD, recorded)
        due[answers.key(RECORDED, options)] = answers
    _draw_weights(cases, options.timeout_s)
    header = dataclasses.replace(_header(cases, options, availability), arguments=arguments, jobs=len(due))
    if file is not None:
        file.begin(header)
    collected = Collected(due, on_progress, file)
    collected.take_over()
    missing = {key: job for key, job in due.items() if not collected.is_done(key)}
    if missing:
        with contextlib.ExitStack() as stack:
            if file is not None:
                stack.callback(file.close)
            workers = stack.enter_context(worker_pool(options)) if pool is None else pool
            _judge(missing, options, workers, collected)
    cells = tuple(in_order(collected.cells, header.cases, (*options.engines, RECORDED), options.dtypes))
    return dataclasses.replace(header, cells=cells, ledger=explaining_rows(cells), seconds=collected.seconds)


def _check_judged(case: Case) -> None:
    """Refuse answers of another program to a model that no reference computes."""
    for layer in case.spec.opaque:
        raise UsageError(
            f"the answers of another program need a judge, but the reference does not compute {layer.label}; leave "
            f"--against out"
        )


def _check_wanted(recorded: Quantities, options: Options) -> None:
    """Refuse recorded answers of which no quantity is compared."""
    if not any(options.wants(quantity.kind) for quantity in recorded):
        raise UsageError(
            f"the recorded answers hold {listed(map(str, recorded))}, but of the quantities only "
            f"{listed(options.quantities)} is compared; leave --quantity out, or name a kind of the recorded answers"
        )


def _due(cases: Sequence[Case], options: Options, engine: str) -> list[Due]:
    """Return the jobs of an engine."""
    return [
        Due(case, dtype, part)
        for case in cases
        for dtype in options.dtypes
        for part in due_parts(case, dtype, options, engine)
    ]


def _header(cases: Sequence[Case], options: Options, availability: Availability | None) -> Report:
    """Return the report as it is known before the first job is judged."""
    skipped, facts = (availability.skipped, availability.facts) if availability else ({}, {})
    return Report(
        cells=(),
        environment=environment(options, facts),
        skipped=skipped,
        shortened={case.name: case.shortened for case in cases if case.shortened},
        touches=_touches(cases, options),
        named=options.engines if availability and availability.named else (),
        origin=(cases[0].origin, *drift(cases[0])) if len(cases) == 1 and cases[0].origin else (),
        inputs=cases[0].description if len(cases) == 1 and not cases[0].family else "",
        without_recurrent=tuple(case.name for case in cases if not case.spec.recurrent),
        judge="the float64 reference" if any(case.is_judged for case in cases) else "each other, without a judge",
        without_judge=tuple(dict.fromkeys(layer.label for case in cases for layer in case.spec.opaque)),
        idle_masks=tuple(dict.fromkeys(name for case in cases for name in idle_masks(case))),
        idle_limits=tuple(dict.fromkeys(name for case in cases for name in idle_limits(case))),
        cases=tuple(case.name for case in cases),
    )


def _touches(cases: Sequence[Case], options: Options) -> tuple[dict[str, Any], ...]:
    if len(cases) != 1 or options.layers != "plain" or not cases[0].is_judged:
        return ()
    return tuple(touch.to_dict() for touch in touches(cases[0], options))


def _draw_weights(cases: Sequence[Case], timeout_s: float) -> None:
    """Draw the weights of all cases, which the cases keep: once, and in the thread that a signal interrupts."""
    for case in cases:
        with time_limit(timeout_s):
            _ = case.initial_weights


def _judge(due: dict[JobKey, Due], options: Options, workers: Pool, collected: Collected) -> None:
    """Judge jobs on their engines, then the recorded answers."""
    _compare_unjudged(due, options, workers, collected)
    by_engine = []
    for engine in options.engines:
        jobs = [job for key, job in due.items() if key.engine == engine and job.case.is_judged]
        executions = [(Execution(workers, engine, job.case, job.dtype, options), job.part) for job in jobs]
        by_engine.append((workers.lanes(engine), executions))
    judge = Judge(workers, options)
    cases = {job.case.name: job.case for job in due.values() if job.case.is_judged}
    judge_work(by_engine, list(cases.values()), judge, collected.add)
    for job in due.values():
        if job.recorded is not None:
            desired = judge.desired(job.case, job.dtype, job.part)
            execution = Execution(workers, RECORDED, job.case, job.dtype, options)
            collected.add(execution, job.part, judge_recorded(execution, job.recorded, desired))


def _compare_unjudged(due: dict[JobKey, Due], options: Options, workers: Pool, collected: Collected) -> None:
    """Compare the engines with each other on the models that no reference computes.

    Every engine is executed, also one whose jobs an earlier run has judged: the others are compared with it.
    """
    jobs = {(job.case.name, job.dtype, job.part): job for job in due.values() if not job.case.is_judged}
    for case, dtype, part, _ in jobs.values():
        engines = [engine for engine in options.engines if part in due_parts(case, dtype, options, engine)]
        for execution, cells in compare_all_pairs([Execution(workers, e, case, dtype, options) for e in engines], part):
            if Due(case, dtype, part).key(execution.engine, options) in due:
                collected.add(execution, part, cells)
