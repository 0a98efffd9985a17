"""`python -m multilstm.bench.scan`: `multilstm.scan` beside Keras, Flax, PyTorch and ONNX Runtime, on published shapes.

All of it runs in one interleaved run, with each framework's own number of threads, on the same weights and inputs;
only contestants whose answers agree are timed. `multilstm.scan` runs as its users are told to: after `tune_cpu`.
"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Sequence
from typing import Any, Literal

from cyclopts import App
from rich.console import Console
from rich.table import Table

from multilstm.bench.contestants import CONTESTANTS, contestant_row
from multilstm.bench.contestants.base import GRADIENT, QUANTITIES
from multilstm.bench.measure import JUDGE, Row, computed_by, geometric_mean, measure, ratio, ratio_by_round, without_gpu
from multilstm.bench.shapes import SHAPES, Shape
from multilstm.cases.catalogue.selection import matching
from multilstm.cli.app import run
from multilstm.cli.types import Names, Path
from multilstm.errors import EngineUnavailableError, UsageError
from multilstm.execution.environment import environment
from multilstm.report.files import check_writable, write_text
from multilstm.report.terminal import printable

app = App(
    name="python -m multilstm.bench.scan", help_format="markdown", version_flags=(), suppress_keyboard_interrupt=False
)
HEADINGS = {
    "keras-tensorflow": "keras-\ntf", "keras-tensorflow-xla": "keras-\ntf-xla", "onnxruntime": "onnx-\nruntime",
}  # fmt: skip


@app.default
def main(
    *,
    shape: Names = (),
    contestant: Names = (),
    rounds: int = 5,
    device: Literal["cpu", "gpu"] = "cpu",
    json: Path = None,
) -> None:
    """Time multilstm.scan and other LSTMs, forward and with the gradient of all weights, on published shapes.

    A number in the table is how many times longer a contestant takes than jax-scan: above 1, jax-scan is faster.

    Parameters
    ----------
    shape
        Shapes by name or glob, for example `--shape '64x*'`; all if left out.
    contestant
        Contestants beside jax-scan, by name; all that are installed if left out, but for `jax-scan-mask`, which takes
        ragged sequences with a mask, and `keras-jax-tuned`. What `multilstm.scan.tune_cpu` does is done for jax-scan
        and for these two; `jax-scan-one` does without, on one device.
    rounds
        How often each is timed.
    device
        Where they compute, in IEEE float32; who finds no GPU is skipped with the reason, and named, it is an error.
    json
        Write every sample to this file, with machine and versions; `-` is standard output.
    """
    if rounds < 1:
        raise UsageError(f"--rounds must be at least 1, given {rounds}")
    if json is not None:
        check_writable(json)
    shapes, names, skipped = _shapes(shape), *_contestants(contestant)
    if device == "gpu":
        lacking = without_gpu(names)
        for name in (JUDGE, *contestant):  # every ratio is to the judge
            if name in lacking:
                raise EngineUnavailableError(f"contestant {name!r}: {lacking[name]}")
        names, skipped = [name for name in names if name not in lacking], {**skipped, **lacking}
    rows, versions = measure(shapes, names, rounds, _follow, device=device)
    if json is not None:
        write_text(json, jsonlib.dumps({**to_data(rows, versions, shapes), "device": device}, indent=1) + "\n")
    console = Console(stderr=json == "-", highlight=False, width=None if sys.stdout.isatty() else 80)
    show(rows, shapes, names, console)
    for name, reason in skipped.items():
        console.print(f"skipped {name}: {reason}", markup=False, soft_wrap=True)
    if device == "gpu" and not any(row.samples for row in rows):
        raise EngineUnavailableError("nothing was timed on the GPU; see above for each contestant's reason")


def to_data(rows: Sequence[Row], versions: dict[str, dict[str, str]], shapes: Sequence[Shape]) -> dict[str, Any]:
    """Everything that was measured, as JSON data; times in seconds."""
    return {
        "format": 1,
        "environment": environment(),
        "contestants": versions,
        "shapes": {shape.name: {**vars(shape), "forward_flops": shape.flops()} for shape in shapes},
        "rows": [vars(row) for row in rows],
    }


def show(rows: Sequence[Row], shapes: Sequence[Shape], names: Sequence[str], console: Console) -> None:
    """Prints a table a quantity: jax-scan's milliseconds, and how many times longer each other contestant takes."""
    others = [name for name in names if name != JUDGE]
    for quantity in QUANTITIES:
        title = "forward" if quantity != GRADIENT else "forward and gradient of all weights"
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("batch x timesteps x features x units", overflow="fold", max_width=21)
        table.add_column("jax-\nscan\nms", justify="right", no_wrap=True)
        for name in others:
            table.add_column(HEADINGS.get(name, name.replace("-", "-\n")), justify="right", no_wrap=True)
        for shape in shapes:
            own = next(
                row for row in rows if (row.shape, row.contestant, row.quantity) == (shape.name, JUDGE, quantity)
            )
            milliseconds = "-" if own.median_s is None else _three_digits(1e3 * own.median_s)
            cells = [_cell(rows, shape.name, quantity, name) for name in others]
            table.add_row(shape.name.replace("-bidirectional", "-bi"), milliseconds, *cells)
        means = []
        for name in others:
            found = [value for shape in shapes if (value := ratio(rows, shape.name, quantity, name)) is not None]
            means.append(_three_digits(geometric_mean(found)) if found else "-")
        if len(shapes) > 1:
            table.add_row("geometric mean", "", *means, style="bold")
        console.print(title, style="bold")
        console.print(table)
        console.print()
    for row in rows:
        if row.failure is not None:
            line = f"not timed: {row.contestant} {row.shape} {row.quantity}: {row.failure}"
            console.print(printable(line), markup=False, soft_wrap=True)
    for line in implementations(rows):
        console.print(printable(line), markup=False, soft_wrap=True)
    console.print("~ its rounds differ by more than a quarter", style="dim")


def implementations(rows: Sequence[Row]) -> list[str]:
    """A line for the contestants that the same kernel computed; where one had several, the rarer ones by shape."""
    told: dict[str, str] = {}
    for name in dict.fromkeys(row.contestant for row in rows):
        ran: dict[str, list[str]] = {}
        for row in rows:
            if row.contestant == name and row.implementation is not None:
                ran.setdefault(row.implementation, []).append(f"{row.shape} {row.quantity}")
        if ran:
            common, *others = sorted(ran, key=lambda kernel: -len(ran[kernel]))
            told[name] = "; ".join([common, *(f"but {kernel}: {', '.join(ran[kernel])}" for kernel in others)])
    return computed_by(told)


def _cell(rows: Sequence[Row], shape: str, quantity: str, name: str) -> str:
    value = ratio(rows, shape, quantity, name)
    if value is None:
        return "-"
    spread = ratio_by_round(rows, shape, quantity, name)
    return _three_digits(value) + ("~" if max(spread) > 1.25 * min(spread) else "")


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _follow(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, style="dim", markup=False, soft_wrap=True)


def _shapes(patterns: Sequence[str]) -> list[Shape]:
    shapes = {shape.name: shape for shape in SHAPES}
    return [shapes[name] for name in matching("shape", patterns, shapes.keys())]


def _contestants(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Those to time, jax-scan first, and the others with the reason; one that is named must be installed."""
    everyone = [name for name, row in CONTESTANTS.items() if not row.named]
    chosen = list(dict.fromkeys((JUDGE, *(names or everyone))))
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
