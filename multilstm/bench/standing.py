"""The standing of the contestants of a run: their times relative to the fastest, over all workloads of a mode."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from multilstm.bench.results import Benchmark, PublishedRow, Row
from multilstm.bench.rounds import Samples, median, quartiles

__all__ = [
    "ALIKE",
    "BASE",
    "BEST_KERAS",
    "KERAS",
    "OURS",
    "Exponents",
    "Lead",
    "Place",
    "compared",
    "exponents",
    "geometric_mean",
    "incomplete",
    "is_clear",
    "leads",
    "ratio",
    "relative_times",
    "standing",
]


# The modes that compute nearly the same as a published one, the best first: an update costs less than a gradient.
ALIKE = {"forward": ("forward",), "gradient": ("gradient", "train"), "train": ("train", "gradient")}
OURS = ("jax-scan", "jax-scan-tuned", "jax-scan-measured")
KERAS = ("keras-jax", "keras-tensorflow", "keras-torch")
BEST_KERAS = "best of Keras"
BASE = "jax-scan"  # is measured again together with any noisy contestant; without it, the first contestant is


class Place(NamedTuple):
    """One contestant of a mode.

    Attributes:
        engine: its name.
        ratio: its time divided by the time of the fastest, in the geometric mean over all workloads.
    """

    engine: str
    ratio: float


class Lead(NamedTuple):
    """The times of another contestant divided by those of ours, over all workloads of a mode.

    Attributes:
        ours: the contestant of `multilstm.scan`.
        other: the other one.
        mean: the geometric mean.
        worst: the smallest quotient.
        where: the workload of the smallest quotient.
        shapes: the number of workloads on which both were timed.
    """

    ours: str
    other: str
    mean: float
    worst: float
    where: str
    shapes: int


class Exponents(NamedTuple):
    """The growth of a contestant's time with the swept sizes: `time ~ batch^a * timesteps^b`.

    Attributes:
        engine: its name.
        mode: the mode.
        exponents: the fitted exponent by the name of the size; of those sizes that vary.
    """

    engine: str
    mode: str
    exponents: dict[str, float]


def standing(result: Benchmark, mode: str) -> list[Place]:
    """Return the contestants that were timed on every workload of a mode, fastest first."""
    times: dict[str, list[float]] = {}
    workloads = [name for name in result.workloads if result.group(name, mode)]
    for workload in workloads:
        for engine, time in relative_times(result, workload, mode).items():
            times.setdefault(engine, []).append(time)
    means = {engine: geometric_mean(values) for engine, values in times.items() if len(values) == len(workloads)}
    best = min(means.values(), default=1.0)
    return [Place(engine, mean / best) for engine, mean in sorted(means.items(), key=lambda item: item[1])]


def incomplete(result: Benchmark, mode: str) -> list[tuple[Place, int]]:
    """Return the contestants that were timed on some workloads of a mode alone, with the number of these workloads.

    Their ratio is to the time of the first of `standing` on the same workloads.
    """
    first = next(iter(standing(result, mode)), None)
    if first is None:
        return []
    ratios: dict[str, list[float]] = {}
    workloads = [name for name in result.workloads if result.group(name, mode)]
    for workload in workloads:
        times = relative_times(result, workload, mode)
        for engine, time in times.items():
            ratios.setdefault(engine, []).append(time / times[first.engine])
    return [
        (Place(engine, geometric_mean(values)), len(values))
        for engine, values in ratios.items()
        if len(values) < len(workloads)
    ]


def compared(result: Benchmark) -> list[tuple[str, PublishedRow, Row]]:
    """Return the published times with the fastest row of this run that computes alike, and the workload of both."""
    pairs = []
    for workload, facts in result.workloads.items():
        for published in facts.published:
            groups = (result.group(workload, mode) for mode in ALIKE.get(published.mode, ()))
            rows = next(filter(None, groups), [])
            pairs += [(workload, published, row) for row in rows[:1]]
    return pairs


def relative_times(result: Benchmark, workload: str, mode: str) -> dict[str, float]:
    """Return the times of one workload and mode divided by the fastest, by engine; the fastest first.

    Each time is first divided by that of the base, which was measured in every pass: no quotient mixes two passes.
    """
    rows = result.group(workload, mode)
    base = next((row for row in rows if row.engine == BASE), rows[0] if rows else None)
    if base is None:
        return {}
    ratios = {row.engine: ratio(row, base) for row in rows}
    best = min(ratios.values())
    return {engine: value / best for engine, value in sorted(ratios.items(), key=lambda item: item[1])}


def ratio(row: Row, base: Row) -> float:
    """Return the median of a row divided by the median of another one, both of the same pass.

    The pass is the second if both were measured again, otherwise the first: both were interleaved in it.
    """
    samples, of_base = _same_pass(row, base)
    return median(samples) / median(of_base)


def is_clear(result: Benchmark, mode: str, faster: str, slower: str) -> bool:
    """Whether two contestants of `standing` differ by more than the spread of their samples.

    The lower quartile of the slower one is divided by the upper quartile of the faster one. The geometric mean of these
    quotients over all workloads must be above 1. For one workload: the middle halves of the samples have no time in
    common, so another run would probably give the same order.
    """
    quotients = []
    for workload in result.workloads:
        rows = {row.engine: row for row in result.group(workload, mode)}
        if rows:
            samples, of_faster = _same_pass(rows[slower], rows[faster])
            quotients.append(quartiles(samples)[0] / quartiles(of_faster)[1])
    return geometric_mean(quotients) > 1


def _same_pass(row: Row, base: Row) -> tuple[Samples, Samples]:
    """Return the samples of both rows of the second pass if both were measured again, otherwise of the first."""
    return (row.repeated, base.repeated) if row.repeated and base.repeated else (row.samples, base.samples)


def leads(result: Benchmark, mode: str) -> list[Lead]:
    """Return the lead of each contestant of `multilstm.scan` over each other contestant of a mode.

    If several backends of Keras were timed, `BEST_KERAS` is another one: the fastest of them at each workload.
    """
    found = []
    engines = dict.fromkeys(row.engine for row in result.timed if row.mode == mode)
    of_keras = [name for name in KERAS if name in engines]
    others = [*engines, BEST_KERAS] if len(of_keras) > 1 else list(engines)
    for ours, other in itertools.product([name for name in OURS if name in engines], others):
        quotients = {}
        for workload in result.workloads:
            times = relative_times(result, workload, mode)
            if others[-1] == BEST_KERAS and not {*of_keras}.isdisjoint(times):
                times[BEST_KERAS] = min(times[name] for name in of_keras if name in times)
            if ours in times and other in times:
                quotients[workload] = times[other] / times[ours]
        if ours != other and quotients:
            worst = min(quotients, key=lambda workload: quotients[workload])
            mean = geometric_mean(list(quotients.values()))
            found.append(Lead(ours, other, mean, quotients[worst], worst, len(quotients)))
    return found


def exponents(result: Benchmark) -> list[Exponents]:
    """Return the fitted exponents of every contestant and mode, for the sizes that vary among the workloads.

    They are those of a linear fit of the logarithms: `log t = c + a log batch + b log timesteps`.
    """
    fits = []
    for mode in result.modes:
        for engine in dict.fromkeys(row.engine for row in result.timed if row.mode == mode):
            rows = [row for row in result.timed if (row.mode, row.engine) == (mode, engine)]
            sizes = {
                name: np.log([getattr(result.workloads[row.workload], name) for row in rows])
                for name in ("batch", "timesteps")
            }
            varying = {name: values for name, values in sizes.items() if np.ptp(values) > 0}
            columns = np.stack([np.ones(len(rows)), *varying.values()], axis=1)
            if not varying or np.linalg.matrix_rank(columns) < columns.shape[1]:
                continue
            solved = np.linalg.lstsq(columns, np.log([row.median_s or 1.0 for row in rows]), rcond=None)[0]
            fits.append(Exponents(engine, mode, dict(zip(varying, map(float, solved[1:]), strict=True))))
    return fits


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; NaN of no values."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan
