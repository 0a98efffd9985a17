"""Plots as SVG and PNG files, drawn by matplotlib (extra `plots`)."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from multilstm.bench.charts import Chart, charts, engines_of
from multilstm.bench.results import Benchmark
from multilstm.errors import EngineUnavailableError, InputError, shown
from multilstm.files.atomic import write_bytes
from multilstm.frameworks.targets import not_installed
from multilstm.report.words import printable

__all__ = ["check_folder", "write_pictures"]

FORMATS = ("svg", "png")
DOTS_PER_INCH = 150


def check_folder(folder: str) -> None:
    """Return if plots can be written into a folder, which is made if need be.

    Raises:
        EngineUnavailableError: without matplotlib.
        InputError: for a folder that cannot be made.
    """
    if not_installed(("matplotlib",)):
        raise EngineUnavailableError(
            "--plots needs matplotlib, which is not installed here; install it with: pip install 'multilstm[plots]'"
        )
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write into the folder {shown(folder)}: {error}; give another one") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write into the folder {shown(folder)}: no permission; give another one")


def write_pictures(result: Benchmark, folder: str) -> list[str]:
    """Draw all plots of a run into a folder; return the paths of the files.

    The style is matplotlib's own. A `matplotlibrc` of the user, or of the current folder, changes nothing: it could
    call LaTeX.

    Raises:
        InputError: for a file that cannot be written.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        return list(_written(result, folder))


def _written(result: Benchmark, folder: str) -> Iterator[str]:
    """Draw all plots, and yield the path of each file that is written."""
    from matplotlib.figure import Figure

    for chart in charts(result):
        height = 1.2 + 0.19 * sum(len(series.points) for series in chart.series) + 0.35 * len(chart.groups)
        figure = Figure(figsize=(8.0, height if chart.kind == "bars" else 4.5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(printable(chart.title), loc="left", fontsize=11)
        axes.set_xlabel(chart.x)
        (_draw_bars if chart.kind == "bars" else _draw_plane)(axes, chart, engines_of(result))
        axes.spines[["top", "right"]].set_visible(False)
        for kind in FORMATS:
            stream = io.BytesIO()
            metadata = {"Date": None} if kind == "svg" else None  # the same bytes each time
            figure.savefig(stream, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
            path = os.path.join(folder, f"{chart.name}.{kind}")
            write_bytes(path, stream.getvalue())
            yield path


def _draw_bars(axes: Any, chart: Chart, engines: list[str]) -> None:
    """Draw horizontal bars in groups, the first group at the top."""
    labels, place = [], 0.0
    for number, group in enumerate(chart.groups):
        bars = [(value, series.label) for series in chart.series for x, value in series.points if x == number]
        if len(chart.groups) > 1:
            axes.text(0, -place + 0.35, printable(group), fontsize=9, fontweight="bold", va="center")
            place += 1
        for value, engine in sorted(bars, reverse=True):
            axes.barh(-place + 0.3, value, height=0.75, color=f"C{engines.index(engine) % 10}")
            axes.text(
                value, -place + 0.3, f" {value:,.3g}" if value < 1000 else f" {value:,.0f}", fontsize=8, va="center"
            )
            labels.append((-place + 0.3, engine))
            place += 1
        place += 0.4
    axes.set_yticks([y for y, _ in labels], [printable(engine) for _, engine in labels], fontsize=8)
    axes.set_ylim(-place + 0.6, 1.1)
    axes.margins(x=0.12)


def _is_narrow(low: float, high: float) -> bool:
    """Whether an axis spans less than a decade, so that powers of ten alone would not number it."""
    return high < 10 * low


def _draw_plane(axes: Any, chart: Chart, engines: list[str]) -> None:
    """Draw lines or points between two logarithmic axes."""
    from matplotlib.ticker import NullFormatter

    for series in chart.series:
        x, y = zip(*sorted(series.points), strict=True)
        style = {"marker": "o", "linestyle": "-" if chart.kind == "lines" else "", "markersize": 5}
        axes.plot(x, y, label=printable(series.label), color=f"C{engines.index(series.label) % 10}", **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}" if _is_narrow(*axis.get_view_interval()) else NullFormatter())
    axes.set_ylabel(chart.y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
