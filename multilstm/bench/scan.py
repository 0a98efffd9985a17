"""`python -m multilstm.bench.scan`: `multilstm.scan` compared with Keras, Flax, PyTorch and ONNX Runtime.

All contestants get the same weights and inputs, and published shapes. Each framework uses its own number of threads.
Contestants whose answers disagree are not timed. `multilstm.scan` runs after `tune_cpu`, as its documentation advises.
The module `multilstm.bench.rounds` describes the method of measuring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from multilstm.bench.contestants import CONTESTANTS, contestant_row
from multilstm.bench.contestants.base import FORWARD, GRADIENT, QUANTITIES
from multilstm.bench.measure import JUDGE, Row, computed_by, geometric_mean, measure, ratio, without_gpu
from multilstm.bench.program import checked_method, program
from multilstm.bench.results import write_results
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import SHAPES, Shape
from multilstm.cases.catalogue.selection import matching
from multilstm.cli.app import run
from multilstm.cli.console import result_console
from multilstm.cli.progress import say
from multilstm.cli.types import Device, OptionalNames, Path, WholeNumber, names
from multilstm.errors import EngineUnavailableError
from multilstm.report.words import printable

app = program("scan")
HEADINGS = {
    "keras-tensorflow": "keras-\ntf",
    "keras-tensorflow-xla": "keras-\ntf-xla",
    "onnxruntime": "onnx-\nruntime",
}
TITLES = {FORWARD: "forward", GRADIENT: "forward and gradient of all weights"}


@app.default
def main(
    *,
    shape: OptionalNames = None,
    contestant: OptionalNames = None,
    rounds: WholeNumber = 5,
    device: Device = "cpu",
    json: Path = None,
    pause: float = 0.25,
    seed: WholeNumber = 0,
) -> None:
    """Time multilstm.scan and other LSTMs, forward and with the gradient of all weights, on published shapes.

    A number in the table is a contestant's time divided by the time of jax-scan. Above 1, jax-scan is faster.

    Parameters
    ----------
    shape
        Shapes by name or glob, for example `--shape '64x*'`. Default: all.
    contestant
        Contestants to compare with jax-scan, by name. Default: all that are installed, except `jax-scan-mask`, which
        gets ragged sequences with a mask, and `keras-jax-tuned`. These two and jax-scan call
        `multilstm.scan.tune_cpu`. `jax-scan-one` does not; it uses one device.
    rounds
        Number of rounds; each round times every contestant once, in random order.
    device
        Device that computes, in IEEE float32. Contestants that find no GPU are skipped, with the reason. Without a
        GPU, a contestant given by name is an error.
    json
        Write every sample to this file, with machine and versions; `-` is standard output.
    pause
        Seconds without computation before each contestant, so that idle threads of the others sleep.
    seed
        Random seed of the contestants' order.
    """
    method = checked_method(rounds, pause, seed, json)
    shapes, named = _shapes(names("--shape", shape)), names("--contestant", contestant)
    timed, skipped = _contestants(named)
    if device == "gpu":
        lacking = without_gpu(timed)
        for name in (JUDGE, *named):  # every ratio is to the judge
            if name in lacking:
                raise EngineUnavailableError(f"contestant {name!r}: {lacking[name]}")
        timed, skipped = [name for name in timed if name not in lacking], {**skipped, **lacking}
    rows, versions = measure(shapes, timed, method, say, device=device)
    write_results(json, "scan", device, method, **to_data(rows, versions, shapes))
    console = result_console(json)
    show(rows, shapes, timed, console, method)
    for name, reason in skipped.items():
        console.print(f"skipped {name}: {reason}", markup=False, soft_wrap=True)
    if device == "gpu" and not any(row.samples for row in rows):
        raise EngineUnavailableError("nothing was timed on the GPU; see above for each contestant's reason")


def to_data(rows: Sequence[Row], versions: dict[str, dict[str, str]], shapes: Sequence[Shape]) -> dict[str, Any]:
    """Return all measurements as JSON data; times in seconds."""
    return {
        "contestants": versions,
        "shapes": {shape.name: {**vars(shape), "forward_flops": shape.flops()} for shape in shapes},
        "rows": [{**vars(row), "median_s": row.median_s, "spread": row.spread} for row in rows],
    }


def show(
    rows: Sequence[Row], shapes: Sequence[Shape], names: Sequence[str], console: Console, method: Method | None = None
) -> None:
    """Print a table for each quantity: jax-scan's milliseconds, and the ratios of the other contestants."""
    method = method or Method()
    for quantity in QUANTITIES:
        console.print(TITLES[quantity], style="bold")
        console.print(_table([row for row in rows if row.quantity == quantity], shapes, names, method))
        console.print()
    for row in rows:
        if row.failure is not None:
            line = f"not timed: {row.contestant} {row.shape} {row.quantity}: {row.failure}"
            console.print(printable(line), markup=False, soft_wrap=True)
    for line in implementations(rows):
        console.print(printable(line), markup=False, soft_wrap=True)
    limit = f"{method.largest_spread:.0%}".replace("%", " %")
    console.print(f"* measured again: its spread (interquartile range / median) exceeded {limit}", style="dim")
    console.print(f"~ measured again, and its spread still exceeds {limit}", style="dim")


def _table(rows: Sequence[Row], shapes: Sequence[Shape], names: Sequence[str], method: Method) -> Table:
    """Return the table of one quantity."""
    others = [name for name in names if name != JUDGE]
    by_name = {(row.shape, row.contestant): row for row in rows}
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("batch x timesteps x features x units", overflow="fold", max_width=21)
    table.add_column("jax-\nscan\nms", justify="right", no_wrap=True)
    for name in others:
        table.add_column(HEADINGS.get(name, name.replace("-", "-\n")), justify="right", no_wrap=True)
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for shape in shapes:
        judge = by_name[shape.name, JUDGE]
        milliseconds = "-" if judge.median_s is None else _three_digits(1e3 * judge.median_s) + _mark(judge, method)
        cells = []
        for name in others:
            value = ratio(rows, shape.name, rows[0].quantity, name)
            if value is not None:
                ratios[name].append(value)
            cells.append("-" if value is None else _three_digits(value) + _mark(by_name[shape.name, name], method))
        table.add_row(shape.name.replace("-bidirectional", "-bi"), milliseconds, *cells)
    if len(shapes) > 1:
        means = [_three_digits(geometric_mean(values)) if values else "-" for values in ratios.values()]
        table.add_row("geometric mean", "", *means, style="bold")
    return table


def _mark(row: Row, method: Method) -> str:
    """Return the mark of a row that was measured again: `~` if its spread is still too large, else `*`."""
    if not row.repeated:
        return ""
    return "~" if row.spread is not None and row.spread > method.largest_spread else "*"


def implementations(rows: Sequence[Row]) -> list[str]:
    """Return a line for the contestants of each kernel; a contestant's rarer kernels are named with their shapes."""
    kernels: dict[str, str] = {}
    for name in dict.fromkeys(row.contestant for row in rows):
        places: dict[str, list[str]] = {}
        for row in rows:
            if row.contestant == name and row.implementation is not None:
                places.setdefault(row.implementation, []).append(f"{row.shape} {row.quantity}")
        if places:
            common, *others = sorted(places, key=lambda kernel: -len(places[kernel]))
            kernels[name] = "; ".join([common, *(f"but {kernel}: {', '.join(places[kernel])}" for kernel in others)])
    return computed_by(kernels)


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _shapes(patterns: Sequence[str]) -> list[Shape]:
    shapes = {shape.name: shape for shape in SHAPES}
    return [shapes[name] for name in matching("shape", patterns, shapes.keys())]


def _contestants(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the contestants to time, jax-scan first, and the skipped ones with the reason.

    Raises:
        EngineUnavailableError: if jax-scan or a contestant given by name is not installed.
    """
    default = [name for name, row in CONTESTANTS.items() if not row.named]
    chosen = list(dict.fromkeys((JUDGE, *(names or default))))
    missing = {name: ", ".join(row.missing) for name in chosen if (row := contestant_row(name)).missing}
    for name in (JUDGE, *names):
        if name in missing:
            raise EngineUnavailableError(
                f"contestant {name!r} needs {missing[name]}, not installed here; "
                f"install it with: pip install 'multilstm[all,bench]'"
            )
    return [name for name in chosen if name not in missing], {k: f"needs {v}" for k, v in missing.items()}


if __name__ == "__main__":
    run(app)
