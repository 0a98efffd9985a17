"""A run as a page: one file with tables and plots, without a script, which needs no network."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping, Sequence

from multilstm.bench.answer import digits, reasons, remarks, sentence
from multilstm.bench.charts import charts, engines_of
from multilstm.bench.modes import MODES
from multilstm.bench.results import Benchmark, Row
from multilstm.bench.standing import compared, exponents, relative_times
from multilstm.bench.svg import STYLE, drawn
from multilstm.bench.table import MARKS, mark, milliseconds, missing, three_digits
from multilstm.report.document import pairs, part, policy, section, text
from multilstm.report.text import counted, flat

__all__ = ["to_html"]

COLUMNS = {
    "ms": "median time of a call in milliseconds",
    "minimum": "the shortest call, in milliseconds",
    "quartiles": "a quarter of the calls was faster than the first number, a quarter slower than the second",
    "times": "the median divided by that of the fastest engine of the table",
    "sequences/s": "sequences in a second",
    "steps/s": "timesteps in a second; all sequences of a batch make one at once",
    "GFLOP/s": "rate of the matrix products that the model needs, in 1e9 operations a second",
    "of the peak": "that rate divided by the best of a large matrix product, measured here",
    "s: build, trace, compile, first call": "seconds before the first answer; a dash where an engine has no such phase",
    "error": "largest difference from the float64 reference, divided by the largest value of the tensor",
    "MiB": "largest memory of the engine's process",
    "joules": "energy of a call, where the GPU counts it",
    "kernel": "the implementation that computed",
}


def to_html(*results: Benchmark) -> str:
    """Return a page that shows runs, one after the other."""
    style = f"{part('page.css')}\n{STYLE}"
    first = results[0]
    return string.Template(part("bench.html")).substitute(
        policy=policy(style),
        style=style,
        title=text(sentence(first) if len(results) == 1 else f"{len(results)} benchmarks"),
        heading="\n".join(_headings(results)),
        plots="\n".join(drawn(chart, engines_of(result)) for result in results for chart in charts(result)),
        tables="\n".join(
            line
            for number, result in enumerate(results, 1)
            for line in _tables(result, f"run {number}, " if len(results) > 1 else "")
        ),
        summary="\n".join(line for result in results for line in _summary(result)),
    )


def _headings(results: Sequence[Benchmark]) -> Iterator[str]:
    if len(results) > 1:
        yield f"<h1>{len(results)} benchmarks</h1>"
    for result in results:
        yield from _heading(result, alone=len(results) == 1)


def _heading(result: Benchmark, alone: bool) -> Iterator[str]:
    tag = "h1" if alone else "p"
    yield f'<{tag} class="verdict {"good" if result.timed else "bad"}">{text(sentence(result))}</{tag}>'
    machine = result.environment
    words = [str(machine.get("processor", "")), f"{machine.get('cores', '?')} cores", result.dtype, result.device]
    yield f'<p class="quiet">{text(", ".join(filter(None, words)))}</p>'
    lines = [*reasons(result), *remarks(result)]
    if lines:
        yield f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def _tables(result: Benchmark, run: str) -> Iterator[str]:
    """Yield a table for each workload and mode, then the published times and the growth with sizes.

    Args:
        result: the run.
        run: the beginning of each title; unique among several runs.
    """
    for workload, facts in result.workloads.items():
        for mode in result.modes:
            rows = result.group(workload, mode)
            if not rows:
                continue
            count = facts.batches[mode]
            title = f"{run}{workload}: {mode}"
            yield f"<h2>{text(title)}</h2>"
            sizes = f"{count} x {counted(facts.batch, 'sequence')}" if count > 1 else counted(facts.batch, "sequence")
            yield f'<p class="quiet">{text(MODES[mode].meaning)}: {sizes} x {facts.timesteps} timesteps; '
            yield f"{facts.parameters:,} parameters; {text(facts.source or 'a model of the user')}</p>"
            yield _table(title, ("engine", *COLUMNS), _rows(result, workload, mode))
    published = [
        (
            name,
            row.mode,
            theirs.implementation,
            theirs.hardware,
            theirs.source,
            three_digits(theirs.milliseconds),
            milliseconds(row.median_s),
            row.engine,
        )
        for name, theirs, row in compared(result)
    ]
    if published:
        title = f"{run}published times, on the hardware of their authors"
        yield f"<h2>{text(title)}</h2>"
        yield _table(title, ("workload", "mode", "program", "hardware", "source", "ms", "here ms", "engine"), published)
    fits = exponents(result) if result.model or result.grid == "long" else []
    if fits:
        title = f"{run}growth: time ~ batch^a * timesteps^b"
        yield f"<h2>{text(title)}</h2>"
        yield _table(
            title,
            ("engine", "mode", "a", "b"),
            (
                (
                    fit.engine,
                    fit.mode,
                    *(
                        f"{fit.exponents[size]:.2f}" if size in fit.exponents else "-"
                        for size in ("batch", "timesteps")
                    ),
                )
                for fit in fits
            ),
        )


def _rows(result: Benchmark, workload: str, mode: str) -> Iterator[list[str]]:
    times = relative_times(result, workload, mode)
    return (_cells(result, row, times[row.engine]) for row in result.group(workload, mode))


def _cells(result: Benchmark, row: Row, time: float) -> list[str]:
    """Return the engine and the values of `COLUMNS`."""
    facts = result.workloads[row.workload]
    assert row.median_s is not None
    assert row.quartiles_s is not None
    flops = facts.flops[row.mode] / row.median_s
    peak = "-" if result.product is None else f"{100 * flops / result.product.flops_per_s:.1f} %"
    phases = (row.build_s, row.trace_s, row.compile_s, row.first_s)
    return [
        row.engine,
        milliseconds(row.median_s) + mark(result, row),
        milliseconds(row.minimum_s),
        "-".join(map(milliseconds, row.quartiles_s)),
        digits(time),
        f"{facts.batch * facts.batches[row.mode] / row.median_s:,.0f}",
        f"{facts.steps[row.mode] / row.median_s:,.0f}",
        three_digits(flops / 1e9),
        peak,
        ", ".join("-" if seconds is None else three_digits(seconds) for seconds in phases),
        "-" if row.error is None else f"{row.error:.1e}",
        "-" if row.peak_bytes is None else f"{row.peak_bytes >> 20:,}",
        "-" if row.joules is None else three_digits(row.joules),
        row.implementation or "-",
    ]


def _summary(result: Benchmark) -> Iterator[str]:
    lacking = missing(result)
    if lacking:
        yield section("Not timed", [f"<p>{text(line)}</p>" for line in lacking], is_open=True)
    if result.timed:
        yield section("Columns", pairs(COLUMNS))
    limit = f"{result.method.get('largest_spread', 0.1):.0%}".replace("%", " %")
    yield section("Marks", pairs({sign: meaning.format(limit=limit) for sign, meaning in MARKS.items()}))
    engines: Mapping[str, object] = {
        name: {"versions": contestant.versions, **contestant.switches}
        for name, contestant in result.contestants.items()
    }
    yield section("Engines: versions, threads, precision, flags", pairs(dict(flat(engines))))
    conditions = {"method": result.method, **result.environment}
    if result.product is not None:
        conditions["peak"] = f"{result.product.flops_per_s / 1e9:.0f} GFLOP/s by {result.product.engine}"
    yield section("Environment and method", pairs(dict(flat(conditions))))


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is a heading.

    Args:
        title: the name of the table, unique on the page.
        head: the headings of the columns.
        rows: the texts of each row.
    """
    columns = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    lines = (
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(title)}"><table class="counts">'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
