"""A run as text for the terminal, at most 80 columns: the answer, the tables, the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from multilstm.bench.answer import digits, reasons, remarks, sentence
from multilstm.bench.comparison import Change, Gap
from multilstm.bench.modes import MODES
from multilstm.bench.results import Benchmark, Row
from multilstm.bench.standing import compared, exponents, geometric_mean, leads, relative_times, standing
from multilstm.report.words import of_engine, printable

__all__ = ["MARKS", "mark", "milliseconds", "missing", "show", "show_changes"]

MARKS = {
    "*": "measured again: its spread (interquartile range / median) exceeded {limit}",
    "~": "measured again, and its spread still exceeds {limit}",
}
LEGEND = (
    "ms: median time of a call, with its minimum and quartiles (q25, q75); x: time divided by the smallest one; "
    "seq/s: sequences a second; GFLOP/s: rate of the matrix products, and its share of the peak; first s: seconds to "
    "trace, compile and call once; MiB: largest memory of the process"
)
LEGEND_OF_RATIOS = "ms: median time of a call of the first engine; other columns: time of an engine divided by it"
SHORT = {"keras-tensorflow": "keras-\ntf", "keras-tensorflow-xla": "keras-\ntf-xla", "onnxruntime": "onnx-\nruntime"}


def show(result: Benchmark, console: Console) -> None:
    """Print a run."""
    _line(console, sentence(result), style="bold")
    legends: dict[str, None] = {}
    for mode in result.modes:
        console.print()
        _line(console, f"{mode}: {MODES[mode].meaning}", style="bold")
        workloads = [name for name in result.workloads if result.group(name, mode)]
        if len(workloads) == 1:
            _line(console, _title(result, workloads[0], mode))
            console.print(_details(result, workloads[0], mode))
            legends[LEGEND] = None
        elif workloads:
            console.print(_matrix(result, workloads, mode))
            legends[LEGEND_OF_RATIOS] = None
    if legends:
        console.print()
    for legend in legends:
        _line(console, legend, style="dim")
    if result.grid == "drawn":
        _show_leads(result, console)
    _show_exponents(result, console)
    _show_published(result, console)
    console.print()
    for line in (*reasons(result), *missing(result), *remarks(result), *_conditions(result)):
        _line(console, line)
    marks = {mark(result, row) for row in result.timed}
    for sign, meaning in MARKS.items():
        if sign in marks:
            _line(console, f"{sign} {meaning.format(limit=_limit(result))}", style="dim")


def show_changes(changes: Sequence[Change], gaps: Sequence[Gap], conditions: Sequence[str], console: Console) -> None:
    """Print the rows that became slower or faster than in an older run, those that cannot be compared, and why."""
    console.print()
    beyond = [change for change in changes if change.is_beyond_spread]
    same = len(changes) - len(beyond)
    _line(console, f"Compared with the older run: {len(beyond)} rows changed, {same} did not.", style="bold")
    table = _table(("workload", "mode", "engine"), ("before\nms", "now\nms", "times"))
    for change in beyond:
        before, now = (milliseconds(row.median_s) for row in (change.old, change.new))
        table.add_row(*change.new.place, before, now, f"{change.ratio:.2f} {change.word}")
    if beyond:
        console.print(table)
    reasons: dict[str, list[str]] = {}
    for gap in gaps:
        reasons.setdefault(gap.reason, []).append(" ".join(gap.row.place))
    for reason, places in reasons.items():
        _line(console, f"not compared: {reason} ({', '.join(places)})")
    for line in conditions:
        _line(console, f"another condition: {line}")


def mark(result: Benchmark, row: Row) -> str:
    """Return the mark of a row that was measured again: `~` if its spread is still too large, else `*`."""
    if not row.repeated:
        return ""
    return "~" if (row.spread or 0.0) > result.method.get("largest_spread", 1.0) else "*"


def milliseconds(seconds: float | None) -> str:
    """Return a time in milliseconds with three digits; a dash for none."""
    return "-" if seconds is None else three_digits(1e3 * seconds)


def three_digits(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def missing(result: Benchmark) -> list[str]:
    """Return a line for every row without times, and for every contestant that did not run, with the reason."""
    failures: dict[str, list[str]] = {}
    for row in result.rows:
        if row.failure is not None:
            failures.setdefault(of_engine(row.engine, row.failure), []).append(f"{row.workload} {row.mode}")
    lines = [f"not timed: {reason} ({', '.join(places)})" for reason, places in failures.items()]
    return [*lines, *(f"skipped {of_engine(name, reason)}" for name, reason in result.skipped.items())]


def _title(result: Benchmark, name: str, mode: str) -> str:
    facts = result.workloads[name]
    sizes = (
        f"{facts.batches[mode]} x {facts.batch} sequences" if facts.batches[mode] > 1 else f"{facts.batch} sequences"
    )
    return f"{name}: {sizes} of {facts.timesteps} timesteps, {facts.parameters:,} parameters"


def _details(result: Benchmark, workload: str, mode: str) -> Table:
    """Return the table of one workload: a row for each contestant."""
    facts, rows = result.workloads[workload], result.group(workload, mode)
    headings = ("ms", "min", "q25", "q75", "x", "seq/s", "GFLOP\n/s", "of\npeak", "first\ns", "MiB")
    table, times = _table(("engine",), headings), relative_times(result, workload, mode)
    for row in rows:
        assert row.median_s is not None
        assert row.quartiles_s is not None
        flops = facts.flops[mode] / row.median_s
        peak = "-" if result.product is None else f"{100 * flops / result.product.flops_per_s:.0f}%"
        table.add_row(
            row.engine,
            milliseconds(row.median_s) + mark(result, row),
            milliseconds(row.minimum_s),
            *map(milliseconds, row.quartiles_s),
            digits(times[row.engine]),
            _thousands(facts.batch * facts.batches[mode] / row.median_s),
            three_digits(flops / 1e9),
            peak,
            three_digits(sum(filter(None, (row.trace_s, row.compile_s, row.first_s)))),
            "-" if row.peak_bytes is None else f"{row.peak_bytes >> 20}",
        )
    return table


def _matrix(result: Benchmark, workloads: Sequence[str], mode: str) -> Table:
    """Return the table of several workloads: the fastest contestant's times, and the ratios of the others."""
    first, *others = [place.engine for place in standing(result, mode)] or [""]
    names = dict.fromkeys([*others, *(row.engine for row in result.timed if row.mode == mode and row.engine != first)])
    base = SHORT.get(first, first.replace("-", "-\n"))
    table = _table(("workload",), (f"{base}\nms", *(SHORT.get(name, name.replace("-", "-\n")) for name in names)))
    table.columns[0].max_width = 26
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for workload in workloads:
        rows, times = {row.engine: row for row in result.group(workload, mode)}, relative_times(result, workload, mode)
        cells = []
        for name in names:
            if name in rows and first in rows:
                ratios[name].append(times[name] / times[first])
                cells.append(f"{three_digits(ratios[name][-1])[:4].rstrip('.')}{mark(result, rows[name])}")
            else:
                cells.append("-")
        time = f"{milliseconds(rows[first].median_s)}{mark(result, rows[first])}" if first in rows else "-"
        table.add_row(workload, time, *cells)
    means = [f"{geometric_mean(values):.2f}" if values else "-" for values in ratios.values()]
    table.add_row("geometric mean", "", *means, style="bold")
    return table


def _show_leads(result: Benchmark, console: Console) -> None:
    """Print the times of the others divided by ours: geometric mean and worst, by mode."""
    console.print()
    _line(console, "Times of an engine divided by ours; above 1, ours is faster", style="bold")
    table = _table(("mode", "engine", "ours"), ("geometric\nmean", "worst", "at", "shapes"))
    for mode in result.modes:
        for lead in leads(result, mode):
            table.add_row(
                mode, lead.other, lead.ours, f"{lead.mean:.2f}", f"{lead.worst:.2f}", lead.where, str(lead.shapes)
            )
    console.print(table)


def _show_exponents(result: Benchmark, console: Console) -> None:
    """Print the cost of a timestep at each size, and the fitted exponents, if sizes of one model vary."""
    fits = exponents(result)
    if not fits or (not result.model and result.grid != "long"):
        return
    console.print()
    _line(console, "Growth: time ~ batch^a * timesteps^b", style="bold")
    table = _table(("engine", "mode"), ("a", "b", "us a timestep,\nfirst size", "last size"))
    for fit in fits:
        rows = [row for row in result.timed if (row.mode, row.engine) == (fit.mode, fit.engine)]
        costs = [f"{1e6 * (row.median_s or 0) / result.workloads[row.workload].steps[row.mode]:.3g}" for row in rows]
        powers = (f"{fit.exponents[name]:.2f}" if name in fit.exponents else "-" for name in ("batch", "timesteps"))
        table.add_row(fit.engine, fit.mode, *powers, costs[0], costs[-1])
    console.print(table)


def _show_published(result: Benchmark, console: Console) -> None:
    """Print published times next to the fastest of this run."""
    table = _table(("workload", "mode", "published program", "hardware"), ("ms", "here\nms"))
    for name, published, row in compared(result):
        program, hardware, time = published.implementation, published.hardware, published.milliseconds
        table.add_row(name, row.mode, program, hardware, three_digits(time), milliseconds(row.median_s))
    if table.row_count:
        console.print()
        _line(console, "Published times, on the hardware of their authors; 'here' is the fastest engine", style="bold")
        console.print(table)


def _conditions(result: Benchmark) -> Iterator[str]:
    """Yield the peak, and a line for each kernel with its contestants."""
    if result.product is not None:
        peak = three_digits(result.product.flops_per_s / 1e9)
        yield f"peak: {peak} GFLOP/s, a product of two matrices by {result.product.engine}"
    kernels: dict[str, dict[str, None]] = {}
    for row in result.rows:
        if row.implementation:
            kernels.setdefault(row.implementation, {})[row.engine] = None
    for kernel, names in kernels.items():
        yield f"computed by {', '.join(names)}: {kernel}"


def _limit(result: Benchmark) -> str:
    return f"{result.method.get('largest_spread', 0.1):.0%}".replace("%", " %")


def _thousands(value: float) -> str:
    return (
        f"{value / 1e3:.0f}k" if value >= 99_500 else f"{value / 1e3:.1f}k" if value >= 9_995 else three_digits(value)
    )


class _Rows(Table):
    """A table whose cells are texts of a file: no markup, and no character that controls a terminal."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of texts."""
        super().add_row(*(Text(printable(cell)) for cell in cells), **options)


def _table(texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = _Rows(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in texts:
        table.add_column(escape(printable(heading)), overflow="fold")
    for heading in numbers:
        table.add_column(escape(printable(heading)), justify="right", no_wrap=True)
    return table


def _line(console: Console, line: str, style: str | None = None) -> None:
    console.print(printable(line), markup=False, style=style)
