"""Reads every file of a folder, compares the models on every engine, and writes a table.

    python parity/field.py FOLDER                 # a table in Markdown on standard output
    python parity/field.py FOLDER --read-only     # without a comparison
    python parity/field.py FOLDER --table out.md

A row has the file, its format and origin, the layers, whether it has weights, and the verdict or the refusal. A file
with weights alone is read with an architecture of the folder: that whose name has the longest beginning in common.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from cyclopts import App

from multilstm import LoadedModel, load
from multilstm.cases.model_case import model_case
from multilstm.cli.app import run
from multilstm.cli.progress import say
from multilstm.cli.types import FilePath, Flag, OptionalNames, WholeNumber, names
from multilstm.errors import MultilstmError, UsageError
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.files.contents import Contents, read_contents
from multilstm.report.files import write_text
from multilstm.report.words import printable
from multilstm.suite.compare_cases import compare_cases, worker_pool
from multilstm.workers import WorkerPool

SHARED = 4  # characters at the beginning that the names of weights and architecture share at least
HEADER = ("file", "format, origin", "layers", "weights", "verdict")

app = App(name="python parity/field.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@dataclasses.dataclass(frozen=True)
class Row:
    """One file of the table."""

    file: str
    origin: str = ""
    layers: str = ""
    weights: str = ""
    verdict: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the cells as Markdown."""
        values = (self.file, self.origin, self.layers, self.weights, self.verdict)
        return tuple(printable(value).replace("\n", " ").replace("|", "\\|") for value in values)


@app.default
def field(
    folder: str,
    /,
    *,
    engine: OptionalNames = None,
    batch: WholeNumber = 2,
    timesteps: WholeNumber = 5,
    read_only: Flag = False,
    table: FilePath = "-",
) -> int:
    """Read every file of a folder, compare the models on every engine, and write a table.

    Parameters
    ----------
    folder
        The folder; its subfolders are left out.
    engine
        Engines to compare with the reference. Default: all that are installed.
    batch
        The number of sequences for models that leave it open.
    timesteps
        The length of sequences for models that leave it open.
    read_only
        Read the files without a comparison.
    table
        Write the table to this file; `-` is standard output.
    """
    try:
        paths = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_file())
    except OSError as error:
        raise UsageError(f"cannot list {folder!r}: {error.strerror}; give a folder of model files") from None
    options = Options(available(names("--engine", engine) or None, "cpu").engines, ("float32", "float64"))
    rows = []
    with worker_pool(options) as pool:
        for path, contents in _contents(paths):
            row, loaded = _read(path, contents, _architectures(paths, path))
            if loaded is not None and not read_only:
                row = dataclasses.replace(row, verdict=_verdict(loaded, options, (batch, timesteps), pool))
            say(printable(f"{row.file}: {row.verdict}"))
            rows.append(row)
    write_text(table, _markdown(rows))
    return 0


def _contents(paths: Iterable[pathlib.Path]) -> Iterator[tuple[pathlib.Path, Contents | MultilstmError]]:
    """Yield every file with its content or the refusal."""
    for path in paths:
        try:
            yield path, read_contents(path)
        except MultilstmError as error:
            yield path, error


def _architectures(paths: Sequence[pathlib.Path], weights: pathlib.Path) -> list[pathlib.Path]:
    """Return the other files, those of the most similar name first."""

    def shared(path: pathlib.Path) -> int:
        pairs = zip(path.name, weights.name, strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    return sorted((path for path in paths if path != weights and shared(path) >= SHARED), key=shared, reverse=True)


def _read(
    path: pathlib.Path, contents: Contents | MultilstmError, others: Sequence[pathlib.Path]
) -> tuple[Row, LoadedModel | None]:
    if isinstance(contents, MultilstmError):
        return Row(path.name, verdict=_refusal(contents, path)), None
    origin = f"{contents.format}; {contents.program} {contents.version or ''}".strip()
    row = Row(path.name, origin, weights="no" if contents.store is None else "yes")
    architecture = None
    if contents.config is None:
        architecture = next((other for other, found in _contents(others) if _has_config(found)), None)
    try:
        loaded = load(path, architecture=architecture)
    except MultilstmError as error:
        return dataclasses.replace(row, verdict=_refusal(error, path)), None
    weights = "no" if loaded.weights is None else "yes" if architecture is None else f"yes, of {architecture.name}"
    counts = Counter(type(layer).__name__ for layer in loaded.spec.layers if type(layer).__name__ != "InputLayer")
    layers = ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())
    return dataclasses.replace(row, layers=layers, weights=weights, verdict="read"), loaded


def _has_config(contents: Contents | MultilstmError) -> bool:
    return isinstance(contents, Contents) and contents.config is not None


def _refusal(error: MultilstmError, path: pathlib.Path) -> str:
    text = str(error).replace(f"{path.parent}{os.sep}", "")
    return f"refused: {text if len(text) <= 300 else f'{text[:300]}...'}"


def _verdict(loaded: LoadedModel, options: Options, sizes: tuple[int, int], pool: WorkerPool) -> str:
    """Return the first sentences of the report of a model."""
    try:
        case = model_case(loaded.spec, *sizes, loaded.weights)
        return compare_cases((case,), options, pool=pool).sentence
    except MultilstmError as error:
        return f"not compared: {error}"


def _markdown(rows: Sequence[Row]) -> str:
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    run(app)
