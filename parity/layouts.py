"""Proves the table of layouts on drawn models: every pair of dialects, and every framework that is installed here.

    python parity/layouts.py                                    # 200 models of every pair and framework
    python parity/layouts.py --count 20 --table layouts.csv     # docs/reference/layouts.md shows the recorded table

A pair of dialects agrees on a model if its weights in float32 return from a way through both with the same bits.
Gradients must do so too. A framework agrees if sequence, states and gradients in float64 are within 1e-12 of the
reference. The exit code is 1 where one of them disagrees.
"""

from __future__ import annotations

import csv
import importlib.metadata
import io
import sys
from collections.abc import Sequence

import numpy as np
from cyclopts import App
from layouts_drawn import SHIFTED, distance, drawn, largest_difference, reference, same_bits, travelled
from layouts_frameworks import Framework, all_frameworks

from multilstm.cli.app import run
from multilstm.cli.progress import say
from multilstm.cli.types import FilePath, WholeNumber
from multilstm.conversion import DIALECTS
from multilstm.report.files import write_text
from multilstm.workers import WorkerPool

TOLERANCE = 1e-12
HEAD = (
    "dialect", "ways", "bitwise", "rounding of any bias", "package", "models", "equal", "largest difference",
    "gradients",
)  # fmt: skip
PACKAGES = {"flax": "flax", "haiku": "dm-haiku", "onnx": "onnx", "tf_keras": "tf-keras", "jax": "jax"}

app = App(name="python parity/layouts.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@app.default
def layouts(*, count: WholeNumber = 200, seed: WholeNumber = 0, table: FilePath = "-") -> int:
    """Draw models, and prove the table of layouts on them.

    Parameters
    ----------
    count
        Models of every pair and every framework.
    seed
        The number of the first model.
    table
        Write the table to this CSV file; `-` is standard output.
    """
    numbers = range(seed, seed + count)
    rows: dict[str, list[object]] = {}
    faults = 0
    for name in DIALECTS:
        ways, equal = ways_of(name, numbers)
        faults += ways - equal
        rows[name] = [name, ways, equal, _rounding(name, numbers)]
        say(f"{name}: {equal} of {ways} ways are bitwise")
    lines: list[Sequence[object]] = []
    with WorkerPool(threads=1) as pool:
        frameworks = all_frameworks(pool)
        for name, row in rows.items():
            executed = {label: one for label, one in frameworks.items() if one.dialect == name}
            for label, framework in executed.items():
                cells = _executed(framework, numbers) if framework.installed else ("not installed", 0, 0, "", "")
                faults += cells[1] - cells[2]  # type: ignore[operator]
                lines.append([*row, *cells])
                say(f"{label}: {cells[2]} of {cells[1]} models are equal, to {cells[3]}")
            if not executed:
                lines.append([*row, "", "", "", "", ""])
    write_text(table, _csv(lines))
    return 1 if faults else 0


def ways_of(name: str, numbers: range) -> tuple[int, int]:
    """Return the number of ways from a dialect through another and back, and of those that keep every bit.

    A way is one model, one other dialect, and weights or gradients.
    """
    ways = equal = 0
    for other in (other for other in DIALECTS if other != name):
        for number in numbers:
            problem = drawn(number, _narrower(name, other), "float32")
            for gradients in (False, True):
                stack = travelled(problem, (name, other, name), gradients=gradients)
                ways += 1
                equal += same_bits(stack, problem.stack)
    return ways, equal


def _narrower(name: str, other: str) -> str:
    """Return the one of two dialects that holds fewer kinds of stacks."""
    order = ("cell", "stacked", "packed", "numbered")
    return min((name, other), key=lambda dialect: order.index(DIALECTS[dialect].placement))


def _rounding(name: str, numbers: range) -> str:
    """Return the largest change of a bias of any size, in float32: of the layouts that subtract a constant alone."""
    if name not in SHIFTED:
        return "0"
    largest = 0.0
    for number in numbers:
        problem = drawn(number, name, "float32")
        for cell in (cell for layer in problem.stack for cell in layer if cell.bias is not None):
            units = cell.units
            cell.bias[units : 2 * units] = np.random.default_rng(number).normal(size=units)
        largest = max(largest, largest_difference(travelled(problem, (name,)), problem.stack))
    return f"{largest:.1e}"


def _executed(framework: Framework, numbers: range) -> tuple[str, int, int, str, str]:
    """Return the framework's version, the number of models, of equal ones, the largest difference, and gradients."""
    distances = []
    has_gradients = False
    for number in numbers:
        problem = drawn(number, framework.dialect)
        answers = framework.answers(problem)
        has_gradients = answers.gradients is not None
        distances.append(distance(answers, reference(problem)))
        if number % 20 == 0 and "jax" in sys.modules:  # too many programs in one process exhaust its memory maps
            sys.modules["jax"].clear_caches()
    equal = sum(value <= TOLERANCE for value in distances)
    package = PACKAGES.get(framework.module, framework.module)
    version = f"{package} {importlib.metadata.version(package)}"
    return version, len(distances), equal, f"{max(distances):.1e}", "yes" if has_gradients else "no"


def _csv(lines: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([HEAD, *lines])
    return stream.getvalue().rstrip()


if __name__ == "__main__":
    run(app)
