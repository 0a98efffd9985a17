"""The report on a terminal: the verdict, the differences, and one table a dtype, in 80 columns."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from multilstm.cases.families import family_of
from multilstm.compare.comparison import VERDICTS
from multilstm.report.cells import Cell, weakest
from multilstm.report.data import ReportData
from multilstm.report.sentences import sentence_of, totals
from multilstm.report.text import counted
from multilstm.report.words import ASPECTS, MEANING, printable

FAILURES_SHOWN = 12
TOUCHES_SHOWN = 8
STYLES = {
    "equal": "green",
    "bitwise": "green",
    "rounded": "green",
    "within": "green",
    "unjudged": "yellow",
    "known": "yellow",
    "unsupported": "dim",
    "diverges": "bold red",
    "error": "bold red",
}


def show(report: ReportData, console: Console, verbose: bool = False) -> None:
    """Print the report: the verdict, the differences, a table a dtype, and remarks.

    Args:
        report: the report.
        console: the console to print on.
        verbose: one row a case instead of one row a program, and every row of the ledger that may concern the model.
    """
    _verdict_sentence(report, console)
    if report.model:
        console.print(f"Model: {shown(report.model)}")
    for remark in report.remarks:
        console.print(f"[bold yellow]{shown(remark)}[/]")
    if report.origin:
        console.print(shown(" ".join(report.origin)))
    if report.inputs and report.cells:
        console.print(f"Inputs: {shown(report.inputs)}.")
    _failures(report, console)
    _tables(report, console, verbose)
    _legend(report, console)
    _touches(report, console, verbose)
    _known(report, console)
    _remarks(report, console)
    _totals(report, console)


def to_text(report: ReportData, width: int = 80) -> str:
    """Return the report as `show` prints it, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    show(report, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n")


def _verdict_sentence(report: ReportData, console: Console) -> None:
    if report.failures:
        style = "bold red"
    else:
        style = (
            "bold green" if report.agrees and not report.counts["known"] + report.counts["unjudged"] else "bold yellow"
        )
    console.print(f"[{style}]{shown(sentence_of(report))}[/]")


def _tables(report: ReportData, console: Console, verbose: bool) -> None:
    by_dtype: dict[str, list[Cell]] = {}
    for cell in report.cells:
        by_dtype.setdefault(cell.dtype, []).append(cell)
    for dtype, cells in by_dtype.items():
        console.print()
        console.print(_table(dtype, cells, report.engines, verbose))


def _table(dtype: str, cells: Sequence[Cell], engines: Sequence[str], verbose: bool) -> Table:
    """Return a table with a row for each program (or case) and aspect, and a column for each engine."""
    table = Table(
        title=shown(dtype), title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1)
    )
    table.add_column("case" if verbose else "program", no_wrap=True)
    table.add_column("", no_wrap=True)
    for engine in engines:
        table.add_column(shown(engine).replace("-", "-\n", 1), no_wrap=True)
    table.add_column("largest\ndistance", justify="right", no_wrap=True)
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.case if verbose else family_of(cell.case) or cell.case, []).append(cell)
    for name, group in groups.items():
        label = shown(name)
        for aspect, kinds in ASPECTS.items():
            by_engine: dict[str, list[Cell]] = {engine: [] for engine in engines}
            for cell in group:
                if cell.kind in kinds:
                    by_engine[cell.engine].append(cell)
            if any(by_engine.values()):
                largest = "" if aspect == "counts" else _largest_distance(by_engine)
                table.add_row(label, aspect, *map(_verdict, by_engine.values()), largest)
                label = ""
    return table


def _largest_distance(by_engine: Mapping[str, Sequence[Cell]]) -> str:
    distances = [cell.comparison.max_abs for cells in by_engine.values() for cell in cells]
    measured = [distance for distance in distances if distance is not None]
    return f"{max(measured):.0e}" if measured else ""


def _verdict(cells: Sequence[Cell]) -> str:
    """Return the weakest verdict of some cells; `*` marks cases that the engine does not execute."""
    if not cells:
        return ""
    supported = [cell for cell in cells if cell.verdict != "unsupported"]
    verdict = weakest(supported or cells).verdict
    if verdict == "unsupported":
        return f"[{STYLES[verdict]}]-[/]"
    return f"[{STYLES[verdict]}]{verdict}[/]" + ("*" if supported and len(supported) < len(cells) else "")


def _legend(report: ReportData, console: Console) -> None:
    """Print the number of quantities with each verdict, and the meaning of the verdict."""
    if not report.cells:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("verdict", no_wrap=True)
    table.add_column("quantities", justify="right", no_wrap=True)
    table.add_column("meaning")
    for verdict in VERDICTS:
        if report.counts[verdict]:
            label = f"[{STYLES[verdict]}]{verdict}[/]" + (" (-)" if verdict == "unsupported" else "")
            table.add_row(label, f"{report.counts[verdict]:,}", MEANING[verdict])
    console.print()
    console.print(table)
    unsupported: dict[str, set[bool]] = {}
    for cell in report.cells:
        unsupported.setdefault(cell.engine, set()).add(cell.verdict == "unsupported")
    partly = [engine for engine, answers in unsupported.items() if answers == {True, False}]
    if partly:
        console.print(f"[dim]* without the cases that {shown(', '.join(partly))} does not execute[/]")


def _failures(report: ReportData, console: Console) -> None:
    """Print each failing job or quantity once; a message that all quantities of a job share is printed once."""
    groups = report.failure_groups
    if groups:
        console.print()
    if len(groups) > FAILURES_SHOWN:
        console.print(f"The first {FAILURES_SHOWN} of {len(groups)} differences (--json writes all of them):")
    printed: set[str] = set()  # all forward quantities of a case share an explanation
    for cells in groups[:FAILURES_SHOWN]:
        engine, case, dtype = cells[0].engine, cells[0].case, cells[0].dtype
        first, count = cells[0].comparison, f" (and {len(cells) - 1} more)" if len(cells) > 1 else ""
        console.print(f"[bold red]x[/] {shown(engine)} {shown(case)} {shown(dtype)}: {shown(first.message)}{count}")
        explanation = f"{engine} {case} {dtype} {first.explanation}"
        if first.explanation and explanation not in printed:
            printed.add(explanation)
            _indented(shown(first.explanation), console)


def _touches(report: ReportData, console: Console, verbose: bool) -> None:
    """Print the rows of the ledger that concern a user's model in plain Keras, the most severe first."""
    if not report.touches:
        return
    certain = [touch for touch in report.touches if touch["certain"]]
    rows = list(report.touches) if verbose else certain[:TOUCHES_SHOWN]
    observed = {row.id for cell in report.cells for row in cell.comparison.known}
    console.print("\n[bold]Known problems of plain Keras with this model[/]")
    for touch in rows:
        _touch(touch, touch["id"] in observed, console)
    left = len(report.touches) - len(rows)
    if left:
        console.print(f"[dim]{counted(left, 'more row')} of the ledger may apply (--verbose shows them).[/]")


def _touch(touch: Mapping[str, Any], observed: bool, console: Console) -> None:
    style = {"high": "bold red", "medium": "yellow"}.get(touch["severity"], "dim")
    engines = shown(", ".join(touch["engines"]))
    layers = f" at {shown(', '.join(touch['layers']))}" if touch["layers"] else ""
    console.print(f"[{style}]{shown(touch['id'])}[/] on {engines}{layers}{' (in this run)' if observed else ''}")
    for text, markup in ((touch["title"], "bold"), (touch["consequence"], "default"), (touch["advice"], "green")):
        _indented(f"[{markup}]{shown(text)}[/]", console)


def _known(report: ReportData, console: Console) -> None:
    """Print the rows of the ledger behind the known cells that no list of the model's problems has shown."""
    listed = {touch["id"] for touch in report.touches if touch["certain"]}
    engines_by_row: dict[tuple[str, str], set[str]] = {}
    for cell in report.cells:
        for row in cell.comparison.known:
            if row.id not in listed:
                engines_by_row.setdefault((row.id, row.title), set()).add(cell.engine)
    if engines_by_row:
        console.print("\n[bold]Known differences[/]")
    for (row_id, title), engines in engines_by_row.items():
        console.print(f"[yellow]{shown(row_id)}[/] on {shown(', '.join(sorted(engines)))}: {shown(title)}")


def _remarks(report: ReportData, console: Console) -> None:
    """Print skipped engines, shortened cases, and the kernels that computed the LSTMs on a GPU."""
    lines = [f"[yellow]skipped[/] {shown(engine)}: {shown(reason)}" for engine, reason in report.skipped.items()]
    lines += [*_versions(report), *_amplified(report), *_shortened(report), *_implementations(report)]
    if lines:
        console.print()
    for line in lines:
        console.print(line)


def _versions(report: ReportData) -> Iterator[str]:
    """Yield the versions of each row that is not of the environment of the run."""
    for engine, versions in report.versions.items():
        listing = ", ".join(f"{package} {version}" for package, version in versions.items())
        yield f"[dim]versions[/] {shown(engine)}: {shown(listing)}"


def _amplified(report: ReportData) -> Iterator[str]:
    """Yield the number of quantities that need more than the table of tolerances, by dtype."""
    dtypes = Counter(cell.dtype for cell in report.cells if cell.comparison.response)
    for dtype, number in dtypes.items():
        quantities = counted(number, "quantity", "quantities")
        yield (
            f"[dim]{dtype}[/]: {quantities} beyond the table of tolerances, inside the rounding that this model "
            f"amplifies"
        )


def _shortened(report: ReportData) -> Iterator[str]:
    shortened: dict[str, list[str]] = {}
    executed = {cell.case for cell in report.cells}
    for case, reduction in report.shortened.items():
        if case in executed:
            shortened.setdefault(reduction, []).append(case)
    for reduction, cases in shortened.items():
        which = cases[0] if len(cases) == 1 else f"{len(cases)} cases"
        whole = "it" if len(cases) == 1 else "them"
        yield f"[dim]shortened[/] {shown(which)}: {shown(reduction)} (--full runs {whole} whole)"


def _implementations(report: ReportData) -> Iterator[str]:
    """Yield the kernels that computed the LSTMs on a GPU, by engine; a loop in place of cuDNN is marked."""
    cases_by_kernel: dict[tuple[str, str], dict[str, None]] = {}
    for cell in report.cells:
        if cell.device == "gpu" and cell.implementation.kernel:
            cases_by_kernel.setdefault((cell.engine, cell.implementation.kernel), {})[cell.case] = None
    for (engine, kernel), cases in cases_by_kernel.items():
        style = "yellow" if "loop" in kernel or "cuDNN" not in kernel else "dim"
        some = ", ".join(list(cases)[:3]) + (", ..." if len(cases) > 3 else "")
        yield f"[{style}]ran[/] {shown(engine)}: {shown(kernel)}: {counted(len(cases), 'case')} ({shown(some)})"


def _totals(report: ReportData, console: Console) -> None:
    if not report.cells:
        return
    console.print()
    rounding = report.rounding
    if rounding.values:
        console.print(
            f"{rounding.values:,} float64 values of outputs and states were rounded to float32: "
            f"{rounding.differing:,} differ in a bit, {rounding.near:,} are too near a rounding boundary to decide."
        )
    console.print(totals(report))


def _indented(markup: str, console: Console) -> None:
    console.print(Padding(markup, (0, 0, 0, 2), expand=False))


def shown(text: str) -> str:
    """Return the same text on one line, with Rich's markup escaped."""
    return escape(printable(text).replace("\n", "\\n"))
