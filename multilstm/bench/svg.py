"""Plots as SVG without any library: for the page, whose style colours them, and as files of their own.

Every bar, line and group of points has the name of its engine next to it, so that colour is never alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from multilstm.bench.charts import Chart, Series
from multilstm.report.words import printable

__all__ = ["STYLE", "drawn"]

WIDTH, LEFT, RIGHT = 560, 170, 60
ROW, HEAD, FOOT = 17, 34, 40
PLOT_HEIGHT, PLOT_LEFT, PLOT_RIGHT = 260, 56, 165
COLOURS = 10  # classes c0 to c9

# Okabe and Ito's colours, which colour-blind readers tell apart; lighter ones on a dark page.
_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#b4578f", "#a06a00", "#3b8fbf", "#6b6b6b", "#7a5fb0", "#8a7f00", "#444444")
_DARK = ("#56b4e9", "#ff9b54", "#3ecfa0", "#e59cc6", "#e6b422", "#8fd0f5", "#b5b5b5", "#b9a5ec", "#f0e442", "#d0d0d0")


def _colours(values: Sequence[str]) -> str:
    return " ".join(f".chart .c{number} {{ fill: {value}; stroke: {value}; }}" for number, value in enumerate(values))


STYLE = f"""
#plots {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 32rem), 1fr)); gap: 0 2rem; }}
.chart {{ display: block; width: 100%; max-width: {WIDTH}px; height: auto; margin: 0.5rem 0 1.2rem; }}
.chart text {{ fill: #1c2421; font: 12px system-ui, "DejaVu Sans", sans-serif; stroke: none; }}
.chart .title {{ font-weight: 600; font-size: 13px; }} .chart .quiet {{ fill: #55625d; }}
.chart .page {{ fill: #ffffff; }}
.chart .axis {{ stroke: #d4dcd9; stroke-width: 1; }} .chart .line {{ fill: none; stroke-width: 2; }}
{_colours(_LIGHT)}
@media screen and (prefers-color-scheme: dark) {{
.chart text {{ fill: #e4eae7; }} .chart .page {{ fill: #131716; }}
.chart .quiet {{ fill: #a3b0ab; }} .chart .axis {{ stroke: #35403c; }}
{_colours(_DARK)}
}}
.chart .line {{ fill: none; }}
""".strip()


def drawn(chart: Chart, engines: Sequence[str], alone: bool = False) -> str:
    """Return a plot as SVG.

    Args:
        chart: the plot.
        engines: all engines of the run; their order decides on colours.
        alone: whether the picture is a file of its own, with the style inside.
    """
    colours = {engine: number % COLOURS for number, engine in enumerate(engines)}
    lines, height = _bars(chart, colours) if chart.kind == "bars" else _plane(chart, colours)
    label = _text(f"{chart.title}; the tables have the same numbers")
    name = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    style = [f"<style>{STYLE}</style>", '<rect class="page" width="100%" height="100%"/>'] if alone else []
    head = f'<svg{name} class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
    title = f'<text class="title" x="0" y="14">{_text(chart.title)}</text>'
    return "\n".join([head, *style, title, *lines, "</svg>"])


def _bars(chart: Chart, colours: dict[str, int]) -> tuple[list[str], int]:
    """Return horizontal bars in groups, each with its engine and its value."""
    values = [value for series in chart.series for _, value in series.points]
    scale = (WIDTH - LEFT - RIGHT) / max(values, default=1.0)
    lines, y = [], HEAD
    for number, group in enumerate(chart.groups):
        if len(chart.groups) > 1:
            lines.append(f'<text class="title" x="0" y="{y + 8}">{_text(group)}</text>')
            y += ROW
        bars = [(series.label, value) for series in chart.series for place, value in series.points if place == number]
        for label, value in sorted(bars, key=lambda bar: -bar[1]):
            length = max(1.0, value * scale)
            lines += [
                f'<text x="{LEFT - 6}" y="{y + 10}" text-anchor="end">{_text(label)}</text>',
                f'<rect class="c{colours[label]}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{ROW - 5}"/>',
                f'<text class="quiet" x="{LEFT + length + 5:.1f}" y="{y + 10}">{_number(value)}</text>',
            ]
            y += ROW
        y += 8
    lines.append(f'<text class="quiet" x="{LEFT}" y="{y + 8}">{_text(chart.x)}</text>')
    return lines, y + 18


def _plane(chart: Chart, colours: dict[str, int]) -> tuple[list[str], int]:
    """Return lines or points between two logarithmic axes."""
    points = [point for series in chart.series for point in series.points]
    across, up = _Axis([x for x, _ in points]), _Axis([y for _, y in points])
    right, bottom = WIDTH - PLOT_RIGHT, HEAD + PLOT_HEIGHT

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x, y = across.share(point[0]), up.share(point[1])
        return PLOT_LEFT + x * (right - PLOT_LEFT), bottom - y * PLOT_HEIGHT

    lines = []
    for value in across.ticks():
        x, _ = place((value, up.low))
        lines.append(f'<line class="axis" x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(f'<text class="quiet" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{_number(value)}</text>')
    for value in up.ticks():
        _, y = place((across.low, value))
        lines.append(f'<line class="axis" x1="{PLOT_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="quiet" x="{PLOT_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>'
        )
    ends = [(series, [place(point) for point in sorted(series.points)]) for series in chart.series]
    for series, places in ends:
        lines += _marks(chart, places, colours[series.label])
    lines += _labels(ends, colours, right, leads=chart.kind == "lines")
    middle = (PLOT_LEFT + right) / 2
    lines.append(f'<text class="quiet" x="{middle:.1f}" y="{bottom + 32}" text-anchor="middle">{_text(chart.x)}</text>')
    lines.append(f'<text class="quiet" x="{PLOT_LEFT}" y="{HEAD - 6}">{_text(chart.y)}</text>')
    return lines, bottom + FOOT


def _marks(chart: Chart, places: Sequence[tuple[float, float]], colour: int) -> Iterator[str]:
    if chart.kind == "lines":
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline class="line c{colour}" points="{path}"/>'
    for x, y in places:
        yield f'<circle class="c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def _labels(
    ends: Sequence[tuple[Series, list[tuple[float, float]]]], colours: dict[str, int], right: float, leads: bool
) -> Iterator[str]:
    """Yield the names of all series right of the plane; with lines, at the height of their last points."""
    free = HEAD + 4.0
    for series, places in sorted(ends, key=lambda end: end[1][-1][1]):
        x, y = places[-1]
        free = max(free, y + 4) if leads else free
        if leads:
            yield f'<line class="axis" x1="{x:.1f}" y1="{y:.1f}" x2="{right + 8}" y2="{free - 4:.1f}"/>'
        yield f'<rect class="c{colours[series.label]}" x="{right + 10}" y="{free - 9:.1f}" width="9" height="9"/>'
        yield f'<text x="{right + 24}" y="{free:.1f}">{_text(series.label)}</text>'
        free += 15


class _Axis:
    """A logarithmic axis around some values above zero."""

    def __init__(self, values: Sequence[float]) -> None:
        self.low, self.high = min(values) / 1.3, max(values) * 1.3

    def share(self, value: float) -> float:
        """Return the place of a value, 0 at the low end and 1 at the high one."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Return round values on the axis: powers of ten, and their double and fivefold where there are few."""
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
            found = [factor * 10.0**exponent for exponent in exponents for factor in factors]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) >= 3:
                break
        return found


def _number(value: float) -> str:
    """Return a number as a label."""
    if value and (value < 1e-2 or value >= 1e6):
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _text(text: str) -> str:
    return escape(printable(text))
