"""Changes valid files at random, reads every mutant within limits, and counts the outcomes.

    python parity/hostile.py                                 # 100 mutants of every format
    python parity/hostile.py --format onnx --count 10000 --keep faults --table docs/recorded/hostile.csv

Mutant N of a format depends on the seed, the format and N alone. A process reads many mutants by the code that
`multilstm.load` runs, under the limits of `sandbox_child.py`. A crash or a hang ends that process, and the next one
continues with the following mutant.

Outcomes: `equal` and `different` models are valid. `refused`, `unforeseen` (an exception that the parser does not
name), `too_large` and `ended` are errors of multilstm. `ended` is the process of the parser, by the limit of time or by
a fault of libhdf5. `wrong` (a wrong acceptance, or another file opened), `crash` and `hang` are faults.
docs/how-to/my_model.md has the recorded run.
"""

from __future__ import annotations

import csv
import io
import os
import pathlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cyclopts import App
from hostile_files import originals
from hostile_mutants import MUTATIONS
from hostile_reading import Format, parse_here, read_all

from multilstm.cli.app import run
from multilstm.cli.progress import say
from multilstm.cli.types import FilePath, OptionalNames, Path, WholeNumber, names
from multilstm.errors import UsageError, choice
from multilstm.files import contents
from multilstm.report.files import write_text
from multilstm.report.terminal import printable

OUTCOMES = ("equal", "different", "refused", "unforeseen", "too_large", "ended", "wrong", "crash", "hang")
FAULTS = ("wrong", "crash", "hang")
HEAD = ("format", "seed", "mutants", *OUTCOMES, "slowest, ms", "memory, MiB")

app = App(name="python parity/hostile.py", help=__doc__.split("\n\n")[0], help_format="markdown")


@app.default
def hostile(
    *,
    format: OptionalNames = None,  # noqa: A002
    count: WholeNumber = 100,
    seed: WholeNumber = 0,
    keep: Path = None,
    table: FilePath = "-",
) -> int:
    """Change valid files at random, read every mutant within limits, and count the outcomes.

    Parameters
    ----------
    format
        Formats to change. Default: all.
    count
        Mutants of each format.
    seed
        Random seed.
    keep
        Write the mutants with the outcomes ended, wrong, crash and hang to this folder.
    table
        Write the counts to this CSV file, whose rows of other formats stay; `-` is standard output.
    """
    files = originals()
    formats = names("--format", format) or tuple(MUTATIONS)
    for name in formats:
        if name not in files:
            raise UsageError(choice("format", name, files))
    rows = _rows(table)
    faults = 0
    contents.parse_in_process = parse_here
    with tempfile.TemporaryDirectory() as folder:
        for name in formats:
            source = Format(name, files[name], seed, pathlib.Path(folder))
            results = list(read_all(source, count))
            faults += _report(source, results, keep)
            rows[name] = _row(name, seed, results)
            if table != "-":  # the rows stay if the program is stopped
                write_text(table, _csv(rows))
    if table == "-":
        write_text(table, _csv(rows))
    return 1 if faults else 0


def _report(source: Format, results: Sequence[Mapping[str, Any]], keep: str | None) -> int:
    """Print the faults and the unforeseen refusals, keep the files of the faults, and return the number of faults."""
    faults = [result for result in results if result["outcome"] in FAULTS]
    for result in (result for result in results if result["outcome"] in ("ended", *FAULTS)):
        say(printable(f"{source.name} {result['number']}: {result['outcome']}: {result['message']}"))
        if keep is not None:
            _keep(pathlib.Path(keep), source, result)
    unforeseen = Counter(result["message"][:100] for result in results if result["outcome"] == "unforeseen")
    for text, total in unforeseen.most_common():
        say(printable(f"{source.name}: unforeseen, {total} times: {text}"))
    return len(faults)


def _csv(rows: Mapping[str, Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([HEAD, *rows.values()])
    return stream.getvalue().rstrip()


def _rows(table: str) -> dict[str, Sequence[object]]:
    if table == "-" or not os.path.exists(table):
        return {}
    with open(table, encoding="utf-8") as file:
        return {row[0]: row for row in list(csv.reader(file))[1:]}


def _row(name: str, seed: int, results: Sequence[Mapping[str, Any]]) -> Sequence[object]:
    counts = Counter(result["outcome"] for result in results)
    slowest = max((result["seconds"] for result in results), default=0.0)
    memory = max((result["memory"] for result in results), default=0)
    totals = [counts[outcome] for outcome in OUTCOMES]
    return (name, seed, len(results), *totals, round(1000 * slowest), round(memory / 1024))


def _keep(folder: pathlib.Path, source: Format, result: Mapping[str, Any]) -> None:
    _, content, shard = source.mutant(result["number"])
    folder.mkdir(parents=True, exist_ok=True)
    for ending, data in (("", content), (".shard", shard)):
        if data is not None:
            name = f"{source.name}-{source.seed}-{result['number']}-{result['outcome']}{ending}"
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    run(app)
