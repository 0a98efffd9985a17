"""The generated pages on speed: recorded runs as tables and plots."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from pages import DOCS, RECORDED, recorded_table, table, write_changed

from multilstm.bench.answer import reasons, remarks, sentence
from multilstm.bench.charts import charts, engines_of
from multilstm.bench.modes import MODES
from multilstm.bench.results import Benchmark
from multilstm.bench.standing import compared, geometric_mean, relative_times, standing
from multilstm.bench.svg import drawn
from multilstm.bench.table import milliseconds, missing


def benchmarks() -> Iterator[str]:
    """Yield the recorded runs of `multilstm bench --json docs/recorded/bench_*.json`, and draw their plots."""
    for path in sorted(RECORDED.glob("bench_*.json")):
        run = Benchmark.read(str(path))
        machine = run.environment
        yield f"### `docs/recorded/{path.name}`\n"
        yield f"{sentence(run)}\n"
        yield f"{machine['processor']}, {machine['cores']} cores, {run.dtype}.\n"
        yield "\n".join(f"- {line}" for line in (*reasons(run), *remarks(run), *missing(run))) + "\n"
        yield from benchmark(run)
        for chart in charts(run):
            name = f"{path.stem}-{chart.name}.svg"
            write_changed(DOCS / "_generated" / name, drawn(chart, engines_of(run), alone=True) + "\n")
            yield f"![{chart.title}](../_generated/{name})\n"


def benchmark(run: Benchmark) -> Iterator[str]:
    """Yield one table a mode of one run, with geometric means, and the published times."""
    for mode in run.modes:
        names = [place.engine for place in standing(run, mode)]
        if not names:
            continue
        lines: list[Sequence[str]] = []
        ratios: dict[str, list[float]] = {name: [] for name in names}
        for workload in run.workloads:
            times, rows = relative_times(run, workload, mode), run.group(workload, mode)
            for name in names:
                ratios[name].append(times[name])
            lines.append((workload, milliseconds(rows[0].median_s), *(f"{times[name]:.2f}" for name in names)))
        means = [f"{geometric_mean(values):.2f}" for values in ratios.values()]
        yield f"**{mode}**: {MODES[mode].meaning}\n"
        yield table(("workload", "the fastest, ms", *names), [*lines, ("geometric mean", "", *means)])
    published = [
        (
            name,
            row.mode,
            theirs.implementation,
            theirs.hardware,
            theirs.source,
            theirs.milliseconds,
            milliseconds(row.median_s),
        )
        for name, theirs, row in compared(run)
    ]
    if published:
        yield "**Published times**\n"
        yield table(("workload", "mode", "program", "hardware", "source", "ms", "here, ms"), published)


def older_benchmarks() -> Iterator[str]:
    """Yield the tables of the runs before contestants ran in random order, with geometric means."""
    with (RECORDED / "scan_speed.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for quantity in ("forward", "gradient"):
        chosen = [row for row in rows if row["quantity"] == quantity]
        columns = [name for name in rows[0] if name.startswith("vs ") and any(row[name] for row in chosen)]
        lines = []
        for row in chosen:
            best = f"{row['vs best Keras']} ({row['best Keras']})"
            ratios = [best if name == "vs best Keras" else row[name] or "-" for name in columns]
            lines.append((row["shape"], row["ms"], *ratios))
        means = [f"{geometric_mean([float(row[name]) for row in chosen if row[name]]):.2f}" for name in columns]
        yield f"### {quantity.title()}\n"
        yield table(
            ("batch x timesteps x features x units", "`multilstm.scan`, ms", *(name[3:] for name in columns)),
            [*lines, ("geometric mean", "", *means)],
        )


def drawn_leads() -> Iterator[str]:
    """Yield the leads of `multilstm.scan` on the recorded drawn shapes: geometric mean and worst, by seed."""
    with (RECORDED / "drawn.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for ours in dict.fromkeys(row["ours"] for row in rows):
        cells: dict[str, list[str]] = {}
        columns: dict[str, None] = {}
        for row in rows:
            if row["ours"] == ours:
                columns[f"{row['mode']}, seed {row['seed']}"] = None
                cells.setdefault(row["engine"], []).append(f"{float(row['mean']):.2f} ({float(row['worst']):.2f})")
        yield table((f"divided by {ours}", *columns), [(engine, *values) for engine, values in cells.items()])


def lengths() -> Iterator[str]:
    """Yield the recorded run over long sequences."""
    yield from recorded_table("scan_length.csv")


def trainings() -> Iterator[str]:
    """Yield the recorded trainings of the fifth seed program."""
    yield from recorded_table("scan_training.csv")


def dropout() -> Iterator[str]:
    """Yield the recorded run of `multilstm.bench.dropout`."""
    yield from recorded_table("dropout.csv")
