"""Generates the reference from the code and the recorded results; conf.py calls `write_all` at each build.

Each name and number of the reference has its home in the code or in a recorded file.
"""

from __future__ import annotations

import ast
import csv
import io
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from pages import DOCS, RECORDED, recorded_table, table, write_changed
from rich.console import Console
from speed_pages import benchmarks, drawn_leads, dropout, lengths, older_benchmarks, trainings

from multilstm.cases.catalogue import FAMILIES, catalogue, family_of
from multilstm.cli.app import app
from multilstm.cli.exit_codes import EXIT_CODES
from multilstm.compare.comparison import AGREES, FAILS, VERDICTS
from multilstm.compare.tolerances import TABLE
from multilstm.conversion import DIALECTS, LSTMWeights, to_dialect
from multilstm.engines.registry import ENGINES
from multilstm.ledger.facts import FACTS
from multilstm.ledger.predictions import PREDICTIONS
from multilstm.ledger.rows import Divergence, ledger
from multilstm.migration import DRIFTS
from multilstm.report.words import MEANING
from multilstm.spec.dialects.tables import ROWS
from multilstm.spec.layers.opaque import OPAQUE_CLASSES

ROOT = DOCS.parent
COMMANDS = ("doctor", "parity", "bench", "report", "summary", "diff", "convert", "migrate", "identify", "fuzz")


def cli() -> Iterator[str]:
    """Yield the help text of the program and of each command."""
    for name in ("", *COMMANDS):
        stream = io.StringIO()
        console = Console(file=stream, width=88, color_system=None, force_terminal=False)
        arguments = [*filter(None, [name]), "--help"]
        app(arguments, console=console, exit_on_error=False, print_error=False, result_action="return_value")
        help_text = "\n".join(line.rstrip() for line in stream.getvalue().strip().splitlines())
        yield f"## `{' '.join(('multilstm', name)).strip()}`\n\n```text\n{help_text}\n```\n"


def verdicts() -> Iterator[str]:
    """Yield the table of verdicts, from strongest to weakest."""
    effects = {**dict.fromkeys(AGREES, "agrees"), **dict.fromkeys(FAILS, "fails")}
    yield table(
        ("verdict", "meaning", "the run"),
        ((f"`{verdict}`", MEANING[verdict], effects.get(verdict, "counts it apart")) for verdict in VERDICTS),
    )


def opaque() -> Iterator[str]:
    """Yield the classes of Keras that a spec has as opaque layers."""
    yield ", ".join(f"`{name}`" for name in sorted(OPAQUE_CLASSES)) + "."


def exit_codes() -> Iterator[str]:
    """Yield the table of exit codes."""
    yield table(("code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items()))


def tolerances() -> Iterator[str]:
    """Yield the table of tolerances, one section a device and dtype."""
    sections: dict[tuple[str, str], list[Sequence[str]]] = {}
    for row in TABLE:
        kinds = ", ".join(f"`{kind}`" for kind in row.quantities)
        sections.setdefault((row.device, row.dtype), []).append((kinds, f"`{row}`", row.reason))
    for (device, dtype), rows in sections.items():
        yield f"## {dtype} on a {device.upper()}\n"
        yield table(("quantities", "largest difference", "reason and measurement"), rows)


def ledger_rows() -> Iterator[str]:
    """Yield a list of all rows of the ledger by severity, then one section for each row."""
    for severity, words in (
        ("high", "silently wrong, or data lost, in ordinary use"),
        ("medium", "in plausible use"),
        ("low", "in rare use"),
    ):
        rows = [row for row in ledger() if row.severity == severity]
        yield f"**{severity}** ({len(rows)} rows): {words}\n"
        yield table(
            ("row", "difference", "engines"),
            ((f"[`{row.id}`](#{row.id.replace('_', '-')})", row.title, ", ".join(row.engines)) for row in rows),
        )
    for row in ledger():
        yield ledger_row(row)


def ledger_row(row: Divergence) -> str:
    """Return the section of one row, with its reproducer."""
    conditions = [FACTS[fact].text for fact in row.when]
    cells = [
        ("engines", ", ".join(f"`{engine}`" for engine in row.engines)),
        ("when, at one layer", "; ".join(conditions) or "any model"),
        ("severity", row.severity),
        ("seen in", f"{row.package} {row.first}" + (f" to {row.last}" if row.last != row.first else "")),
        ("consequence", row.consequence),
        ("advice", row.advice),
    ]
    if row.prediction:
        cells.append(("known if", f"the answer is the reference's, except that {PREDICTIONS[row.prediction]}"))
    if row.at_most is not None:
        cells.append(("known if", f"the difference is at most {row.at_most:g} of the quantity's largest number"))
    if row.link:
        cells.append(("upstream", f"<{row.link}>"))
    if row.device:
        cells.append(("device", row.device))
    reproducer = (ROOT / "parity" / "reproducers" / f"{row.id}.py").read_text(encoding="utf-8")
    return (
        f"({row.id.replace('_', '-')})=\n### {row.id}\n\n{row.title[:1].upper()}{row.title[1:]}.\n\n"
        f"{table(('', ''), cells)}\n"
        f"<details><summary>Reproducer: <code>parity/reproducers/{row.id}.py</code></summary>\n\n"
        f"```python\n{reproducer.strip()}\n```\n\n</details>\n"
    )


def facts() -> Iterator[str]:
    """Yield the facts that a row of the ledger may name."""
    yield table(("fact", "true of a layer if"), ((f"`{fact.name}`", fact.text) for fact in FACTS.values()))


def engines() -> Iterator[str]:
    """Yield the engines, and the extra that installs each."""
    rows = []
    for row in ENGINES.values():
        extra = f"`pip install 'multilstm[{row.extra}]'`" if row.extra else "always there"
        if row.beside_cpu:
            extra += f"; beside tensorflow-cpu `pip install --no-deps '{row.beside_cpu}'`"
        rows.append((f"`{row.name}`", f"`{row.target}`", ", ".join(row.needs), extra))
    yield table(("engine", "class", "needs", "install"), rows)


def cases() -> Iterator[str]:
    """Yield the families of the catalogue with the number of their cases."""
    counts = Counter(family_of(name) for name in catalogue())
    first = {family_of(name): name for name in reversed(catalogue())}
    rows = [(f"`{family}`", meaning, counts[family], f"`{first[family]}`") for family, meaning in FAMILIES.items()]
    yield table(("family", "contents", "cases", "the first"), [*rows, ("all", "", counts.total(), "")])


def hostile() -> Iterator[str]:
    """Yield the recorded run of `parity/hostile.py`."""
    yield from recorded_table("hostile.csv")


def floors() -> Iterator[str]:
    """Yield the floors of the architecture, as the test of the imports has them."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    rows = []
    for number, rooms in enumerate(ast.literal_eval(assigned["FLOORS"])):
        for room in rooms:
            path = ROOT / "multilstm" / room
            source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
            rows.append((number, f"`{room}`", text.split("\n\n")[0].replace("\n", " ")))
    yield table(("floor", "room", "contents"), rows)


def old_keras() -> Iterator[str]:
    """Yield the classes and arguments of Keras 0.3 to 2 that Keras 3 names otherwise or lacks."""
    renamed: dict[tuple[str, ...], list[str]] = {}
    left_out: dict[tuple[str, ...], list[str]] = {}
    for name, row in ROWS.items():
        for old, new in row.renamed.items():
            values = ", ".join(f"{before!r} is {now!r}" for before, now in (new.values or {}).items() if before != now)
            renamed.setdefault((f"`{old}`", f"`{new.name}`", values), []).append(f"`{name}`")
        for joined, parts in row.joined.items():
            renamed.setdefault((", ".join(f"`{part}`" for part in parts), f"`{joined}`", ""), []).append(f"`{name}`")
        for key, accepted in row.dropped.items():
            left_out.setdefault((f"`{key}`", _accepted(accepted)), []).append(f"`{name}`")
        for key in row.noted:
            left_out.setdefault((f"`{key}`", "any, with a note"), []).append(f"`{name}`")
    classes = [(f"`{name}`", f"`{row.into}`") for name, row in ROWS.items() if row.into != name]
    yield table(("class in the file", "class in Keras 3"), classes)
    lines = ((*key, ", ".join(names)) for key, names in renamed.items())
    yield table(("argument in the file", "argument in Keras 3", "values", "classes"), lines)
    lines = ((*key, ", ".join(names)) for key, names in left_out.items())
    yield table(("argument that is left out", "accepted values", "classes"), lines)


def drift() -> Iterator[str]:
    """Yield the changes of meaning from Keras 1 and 2 to Keras 3."""
    rows = (
        (
            f"`{row.name}`",
            row.before,
            row.since,
            row.now,
            row.seen,
            row.writes if row.repaired else f"(not repaired) {row.writes}",
        )
        for row in DRIFTS
    )
    yield table(("row", "old meaning", "changed in", "Keras 3", "seen in", "`migrate` writes"), rows)


def layouts() -> Iterator[str]:
    """Yield the layouts of an LSTM's weights in other frameworks."""
    rows = []
    for name, row in DIALECTS.items():
        weights = LSTMWeights(np.zeros((3, 8)), np.zeros((2, 8)), np.zeros(8))
        shapes = [f"`{array} {list(value.shape)}`" for array, value in to_dialect(weights, name).items()]
        arrays = ", ".join(shapes if len(shapes) < 6 else [*shapes[:2], "...", *shapes[-1:]])
        rows.append(
            (
                f"`{name}`", f"[{row.title}]({row.source})", "; ".join(row.words) or "as Keras", arrays, row.states,
                "yes" if row.executed else "no",
            )
        )  # fmt: skip
    yield table(("dialect", "framework", "from Keras's layout", "arrays", "states", "executed"), rows)


def layout_proofs() -> Iterator[str]:
    """Yield the recorded run of `parity/layouts.py`."""
    yield from recorded_table("layouts.csv")


def exporters() -> Iterator[str]:
    """Yield the recorded run of `parity/exporters.py`: a table for each kind of axes, the messages, the packages."""
    with (RECORDED / "exporters.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    models = tuple(dict.fromkeys(row["model"] for row in rows))
    messages: dict[tuple[str, str], list[str]] = {}
    for axes in dict.fromkeys(row["axes"] for row in rows):
        cells: dict[str, dict[str, str]] = {}
        for row in (row for row in rows if row["axes"] == axes):
            cells.setdefault(row["exporter"], {})[row["model"]] = _outcome(row)
            if row["verdict"] in ("refused", "error", "no module"):
                message = f"`{row['errors'].partition('Error: ')[2] or row['errors']}`"
                messages.setdefault((row["exporter"], message), []).append(f"{row['model']} ({axes})")
        yield f"**Axes of batch and timesteps: {axes}**\n"
        yield table(("exporter", *models), ((name, *(own.get(m, "") for m in models)) for name, own in cells.items()))
    yield "**Messages**\n"
    yield table(("exporter", "message", "models"), ((*key, ", ".join(names)) for key, names in messages.items()))
    yield "**Packages**\n"
    yield table(("exporter", "packages"), {row["exporter"]: row["packages"] for row in rows if row["packages"]}.items())


def _outcome(row: dict[str, str]) -> str:
    """Return the verdict on an export, with its largest difference or the kind of its nodes."""
    names = row["nodes"].split()[1::2]
    kind = "loop" if {"Loop", "Scan", "WHILE", "TensorIterator"} & set(names) else "unrolled"
    kind = "LSTM" if any("LSTM" in name for name in names) else kind
    if row["verdict"] == "wrong":
        sizes = [part.rpartition(": ")[2] for part in row["wrong"].split("; ")]
        numbers = [float(size) for size in sizes if size[0].isdigit()]
        return f"**wrong**: {max(numbers):.1g}" if len(numbers) == len(sizes) else "**wrong**: other shape"
    return row["verdict"] + (f": {kind}" if row["nodes"] and row["verdict"].startswith("right") else "")


def _accepted(accepted: tuple[Any, ...]) -> str:
    return " or ".join(f"`{value!r}`" for value in accepted) if accepted else "any"


def recorded_runs() -> Iterator[str]:
    """Yield the summaries of the recorded parity runs."""
    for path in sorted((ROOT / "parity" / "results").glob("*.txt")):
        yield f"### `parity/results/{path.name}`\n\n```text\n{path.read_text(encoding='utf-8').strip()}\n```\n"


PAGES: tuple[Callable[[], Iterator[str]], ...] = (
    cli, verdicts, exit_codes, opaque, tolerances, ledger_rows, facts, engines, cases, benchmarks, older_benchmarks,
    drawn_leads, lengths, trainings, dropout, hostile, floors, old_keras, drift, layouts, layout_proofs, exporters,
    recorded_runs,
)  # fmt: skip


def write_all(folder: pathlib.Path) -> None:
    """Write every generated page, but leave a file with the same text alone: Sphinx need not read it again."""
    folder.mkdir(parents=True, exist_ok=True)
    for function in PAGES:
        write_changed(folder / f"{function.__name__}.md", "\n".join(function()))


if __name__ == "__main__":
    write_all(DOCS / "_generated")
