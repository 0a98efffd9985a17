"""The plots of a run as data: throughput by engine and workload, growth with sizes, error against speed.

`svg` draws them for the page, and `pictures` with matplotlib.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from multilstm.bench.modes import MODES
from multilstm.bench.results import Benchmark, Row

__all__ = ["Chart", "Series", "charts"]


@dataclasses.dataclass(frozen=True)
class Series:
    """The values of one engine.

    Attributes:
        label: the name of the engine.
        points: pairs of x and y; for bars, the number of the group and the value.
    """

    label: str
    points: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Chart:
    """One plot.

    Attributes:
        name: unique in a run; the name of its file.
        title: the contents, in words.
        kind: `bars` along the x axis in groups, `lines`, or `points`; the axes of the last two are logarithmic.
        x: label of the x axis.
        y: label of the y axis; empty for bars.
        series: the values, one for each engine.
        groups: names of the groups of bars.
    """

    name: str
    title: str
    kind: Literal["bars", "lines", "points"]
    x: str
    y: str
    series: tuple[Series, ...]
    groups: tuple[str, ...] = ()


def charts(result: Benchmark) -> list[Chart]:
    """Return the plots of a run; none for a run without times."""
    return [*_throughput(result), *_growth(result), *_errors(result)]


def engines_of(result: Benchmark) -> list[str]:
    """Return the engines that were timed, in the order of the rows."""
    return list(dict.fromkeys(row.engine for row in result.timed))


def _throughput(result: Benchmark) -> Iterator[Chart]:
    """Yield a plot for each mode: sequences a second of one workload, or GFLOP/s of several."""
    for mode in result.modes:
        workloads = [name for name in result.workloads if result.group(name, mode)]
        if not workloads:
            continue
        is_one = len(workloads) == 1

        def value(row: Row, mode: str = mode, is_one: bool = is_one) -> float:
            facts = result.workloads[row.workload]
            amount = facts.batch * facts.batches[mode] if is_one else facts.flops[mode] / 1e9
            return amount / (row.median_s or 1.0)

        series = tuple(
            Series(
                engine,
                tuple(
                    (float(number), value(row))
                    for number, workload in enumerate(workloads)
                    for row in result.group(workload, mode)
                    if row.engine == engine
                ),
            )
            for engine in engines_of(result)
        )
        unit = "sequences a second" if is_one else "GFLOP/s"
        yield Chart(
            f"throughput-{mode}",
            f"Throughput, {mode}: {MODES[mode].meaning}",
            "bars",
            f"{unit} (longer is faster)",
            "",
            tuple(line for line in series if line.points),
            tuple(workloads),
        )


def _growth(result: Benchmark) -> Iterator[Chart]:
    """Yield a plot for each mode and each size that varies among the workloads of one model."""
    if not result.model and result.grid != "long":
        return
    for mode in result.modes:
        for size, other in (("timesteps", "batch"), ("batch", "timesteps")):
            facts = result.workloads
            kept = next(iter(facts.values()))
            chosen = [name for name in facts if getattr(facts[name], other) == getattr(kept, other)]
            series = tuple(
                Series(
                    engine,
                    tuple(
                        (float(getattr(facts[row.workload], size)), 1e3 * (row.median_s or 0.0))
                        for row in result.timed
                        if row.engine == engine and row.mode == mode and row.workload in chosen
                    ),
                )
                for engine in engines_of(result)
            )
            series = tuple(line for line in series if len({x for x, _ in line.points}) > 1)
            if series:
                title = f"Growth with the {size}, {mode} ({other} {getattr(kept, other)})"
                yield Chart(f"growth-{size}-{mode}", title, "lines", size, "milliseconds a call", series)


def _errors(result: Benchmark) -> Iterator[Chart]:
    """Yield the plot of errors against times, both relative; trained weights are left out."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in result.timed:
        fastest = result.group(row.workload, row.mode)[0]
        if row.error and row.median_s and fastest.median_s and MODES[row.mode].keep != "weights":
            points.setdefault(row.engine, []).append((row.median_s / fastest.median_s, row.error))
    if points:
        series = tuple(Series(engine, tuple(values)) for engine, values in points.items())
        x, y = "times the fastest", "largest error, of the largest value"
        yield Chart("error", "Error against time: left is faster, below is more exact", "points", x, y, series)
