"""Converts model files with their weights into several formats, and writes a table of the proofs.

    python parity/field_conversions.py FOLDER --to torch --to flax-nnx --to onnx FILE [FILE]...

A FILE is a name in FOLDER; `ARCHITECTURE+WEIGHTS` names two files of one model. A cell has the largest distance of the
outputs, sequences, states and gradients from the float64 reference, in float32 and in float64, or the refusal.
"""

from __future__ import annotations

import pathlib

from cyclopts import App

from multilstm import LoadedModel, load
from multilstm.cli.app import run
from multilstm.cli.progress import say
from multilstm.errors import MultilstmError
from multilstm.files.compiled import compiled
from multilstm.report.files import write_text
from multilstm.report.report import Report
from multilstm.report.words import printable
from multilstm.suite.conversion import convert_model
from multilstm.suite.targets import target_named

app = App(name="python parity/field_conversions.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@app.default
def field_conversions(folder: str, /, *files: str, to: tuple[str, ...] = ("torch", "flax-nnx", "onnx")) -> int:
    """Convert model files, and write a table of the proofs.

    Parameters
    ----------
    folder
        The folder of the files.
    files
        Names in the folder, or `ARCHITECTURE+WEIGHTS`.
    to
        The targets.
    """
    lines = [("file", *to), ("---",) * (1 + len(to))]
    for name in files:
        main, _, weights = name.partition("+")
        path = pathlib.Path(folder, main)
        loaded = load(path, weights=pathlib.Path(folder, weights) if weights else None)
        cells = [_converted(loaded, target) for target in to]
        say(printable(f"{name}: {'; '.join(cells)}"))
        lines.append((name, *cells))
    write_text("-", "\n".join(f"| {' | '.join(cells)} |" for cells in lines))
    return 0


def _converted(loaded: LoadedModel, name: str) -> str:
    """Return the largest distances of a conversion, or the refusal."""
    try:
        conversion = convert_model(loaded.spec, loaded.weights, target_named(name), compiled=compiled(loaded))
    except MultilstmError as error:
        return printable(str(error).split(";")[0][:200]).replace("\n", " ")
    return "; ".join(_distances(conversion.report))


def _distances(report: Report) -> list[str]:
    """Return the largest distance, and the largest share of a tolerance, by dtype."""
    lines = []
    for dtype in dict.fromkeys(cell.dtype for cell in report.cells):
        compared = [cell.comparison for cell in report.cells if cell.dtype == dtype]
        distance = max(comparison.max_abs or 0.0 for comparison in compared)
        share = max(comparison.share or 0.0 for comparison in compared)
        lines.append(f"{dtype} {distance:.1e} ({share:.0%})")
    return lines


if __name__ == "__main__":
    run(app)
