"""The report on a terminal: the verdict, one table a dtype, and the differences, in 80 columns."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from multilstm.cases.families import family_of
from multilstm.compare.comparison import VERDICTS
from multilstm.compare.quantity import CURVES, EXACT, FORWARD, GRADIENTS, TRAINED
from multilstm.report.data import Cell, Report, counted, weakest

ASPECTS = {
    "counts": EXACT,
    "forward": FORWARD,
    "gradient": GRADIENTS,
    "training": (*CURVES, *TRAINED),
}
FAILURES_SHOWN = 12
TOUCHES_SHOWN = 8
STYLES = {
    "equal": "green",
    "bitwise": "green",
    "rounded": "green",
    "within": "green",
    "known": "yellow",
    "unsupported": "dim",
    "diverges": "bold red",
    "error": "bold red",
}
MEANING = {
    "equal": "the same number",
    "bitwise": "the same bits as the reference",
    "rounded": "float64: the same bits once rounded to float32",
    "within": "inside the tolerance for rounding",
    "known": "outside, explained by a row of the ledger",
    "unsupported": "the engine does not execute the case (-)",
    "diverges": "not the same answer",
    "error": "the engine raised, crashed or timed out",
}


def show(report: Report, console: Console, verbose: bool = False) -> None:
    """Print the report: the verdict, a table a dtype, the differences, and the engines that were skipped.

    Args:
        report: the report.
        console: the console to print on.
        verbose: one row a case instead of one row a program, and every row of the ledger that the model meets.
    """
    _verdict_sentence(report, console)
    if report.inputs and report.cells:
        console.print(f"Inputs: {shown(report.inputs)}\n", highlight=False)
    for dtype in dict.fromkeys(cell.dtype for cell in report.cells):
        cells = [cell for cell in report.cells if cell.dtype == dtype]
        console.print(_table(dtype, cells, report.engines, verbose))
    _legend(report, console)
    _failures(report, console)
    for engine, reason in report.skipped.items():
        console.print(f"[yellow]skipped[/] {engine}: {shown(reason)}", highlight=False)
    _shortened(report, console)
    _implementations(report, console)
    _known(report, console)
    _touches(report, console, verbose)
    _totals(report, console)


def to_text(report: Report, width: int = 80) -> str:
    """Return the report as `show` prints it, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    show(report, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.rstrip("\n")


def _verdict_sentence(report: Report, console: Console) -> None:
    if report.failures:
        style = "bold red"
    else:
        style = "bold green" if report.agrees and not report.counts["known"] else "bold yellow"
    console.print(f"[{style}]{shown(report.sentence)}[/]\n", highlight=False)


def _table(dtype: str, cells: Sequence[Cell], engines: Sequence[str], verbose: bool) -> Table:
    table = Table(title=dtype, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("case" if verbose else "program", no_wrap=True)
    table.add_column("", no_wrap=True)
    for engine in engines:
        table.add_column(engine.replace("-", "-\n", 1), no_wrap=True)
    table.add_column("largest\ndistance", justify="right", no_wrap=True)
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.case if verbose else family_of(cell.case) or cell.case, []).append(cell)
    for name, group in groups.items():
        label = shown(name)
        for aspect, kinds in ASPECTS.items():
            cells_of_aspect = [cell for cell in group if cell.kind in kinds]
            if not cells_of_aspect:
                continue
            verdicts = [_verdict([cell for cell in cells_of_aspect if cell.engine == engine]) for engine in engines]
            distances = [cell.comparison.max_abs for cell in cells_of_aspect if cell.comparison.max_abs is not None]
            largest = "" if aspect == "counts" or not distances else f"{max(distances):.0e}"
            table.add_row(label, aspect, *verdicts, largest)
            label = ""
    return table


def _verdict(cells: Sequence[Cell]) -> str:
    """Return the weakest verdict of some cells; `*` marks cases that the engine does not execute."""
    if not cells:
        return ""
    supported = [cell for cell in cells if cell.verdict != "unsupported"]
    verdict = weakest(supported or cells).verdict
    if verdict == "unsupported":
        return f"[{STYLES[verdict]}]-[/]"
    return f"[{STYLES[verdict]}]{verdict}[/]" + ("*" if supported and len(supported) < len(cells) else "")


def _legend(report: Report, console: Console) -> None:
    if report.cells:
        console.print()
    for verdict in VERDICTS:
        if report.counts[verdict]:
            console.print(
                f"[{STYLES[verdict]}]{verdict:<11}[/] {report.counts[verdict]:>6} quantities: {MEANING[verdict]}",
                highlight=False,
            )
    by_engine: dict[str, set[bool]] = {}
    for cell in report.cells:
        by_engine.setdefault(cell.engine, set()).add(cell.verdict == "unsupported")
    mixed = [engine for engine, unsupported in by_engine.items() if unsupported == {True, False}]
    if mixed:
        console.print(f"[dim]* without the cases that {', '.join(mixed)} does not execute[/]", highlight=False)


def _failures(report: Report, console: Console) -> None:
    """Print each failing job or quantity once; a message that all quantities of a job share is printed once."""
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in report.failures:
        subject = cell.comparison.message if cell.verdict == "error" else cell.kind
        groups.setdefault((cell.engine, cell.case, cell.dtype, subject), []).append(cell)
    if groups:
        console.print()
    if len(groups) > FAILURES_SHOWN:
        console.print(f"the first {FAILURES_SHOWN} of {len(groups)} differences (all of them with --json):")
    printed: set[str] = set()  # all forward quantities of a case share an explanation
    for (engine, case, dtype, _), cells in list(groups.items())[:FAILURES_SHOWN]:
        first, count = cells[0].comparison, f" (and {len(cells) - 1} more)" if len(cells) > 1 else ""
        console.print(f"[bold red]x[/] {engine} {shown(case)} {dtype}: {shown(first.message)}{count}", highlight=False)
        explanation = f"{engine} {case} {dtype} {first.explanation}"
        if first.explanation and explanation not in printed:
            printed.add(explanation)
            console.print(f"  {shown(first.explanation)}", highlight=False)


def _shortened(report: Report, console: Console) -> None:
    shortened: dict[str, list[str]] = {}
    executed = {cell.case for cell in report.cells}
    for case, how in report.shortened.items():
        if case in executed:
            shortened.setdefault(how, []).append(case)
    for how, cases in shortened.items():
        which = cases[0] if len(cases) == 1 else f"{len(cases)} cases"
        whole = "it" if len(cases) == 1 else "them"
        console.print(f"[dim]shortened[/] {shown(which)}: {shown(how)} (--full runs {whole} whole)", highlight=False)


def _implementations(report: Report, console: Console) -> None:
    """Print the kernels that computed the LSTMs on a GPU, by engine; a loop in place of cuDNN is marked."""
    cases_by_kernel: dict[tuple[str, str], dict[str, None]] = {}
    for cell in report.cells:
        kernel = cell.implementation.kernel
        if cell.device == "gpu" and kernel:
            cases_by_kernel.setdefault((cell.engine, kernel), {})[cell.case] = None
    for (engine, kernel), cases in cases_by_kernel.items():
        style = "yellow" if "loop" in kernel or "cuDNN" not in kernel else "dim"
        some = ", ".join(list(cases)[:3]) + (", ..." if len(cases) > 3 else "")
        where = f"{counted(len(cases), 'case')} ({shown(some)})"
        console.print(f"[{style}]ran[/] {engine}: {shown(kernel)}: {where}", highlight=False)


def _known(report: Report, console: Console) -> None:
    """Print the rows of the ledger behind the known cells, with the engines that show them."""
    engines_by_row: dict[tuple[str, str], set[str]] = {}
    for cell in report.cells:
        for row in cell.comparison.known:
            engines_by_row.setdefault((row.id, row.title), set()).add(cell.engine)
    for (row_id, title), engines in engines_by_row.items():
        label = f"{', '.join(sorted(engines))}: {row_id}: {shown(title)}"
        console.print(f"[yellow]known[/] {label}", highlight=False)


def _touches(report: Report, console: Console, verbose: bool) -> None:
    """Print the rows of the ledger that a model meets in plain Keras, the most severe first."""
    if not report.touches:
        return
    certain = [touch for touch in report.touches if touch["certain"]]
    rows = list(report.touches) if verbose else certain[:TOUCHES_SHOWN]
    console.print("\n[bold]Known problems of plain Keras with this model[/]", highlight=False)
    for touch in rows:
        _touch(touch, console)
    left = len(report.touches) - len(rows)
    if left:
        console.print(f"[dim]{counted(left, 'more row')} may apply (--verbose shows them)[/]", highlight=False)


def _touch(touch: Mapping[str, Any], console: Console) -> None:
    engines = ", ".join(touch["engines"])
    at = f" at {shown(', '.join(touch['layers']))}" if touch["layers"] else ""
    style = {"high": "bold red", "medium": "yellow"}.get(touch["severity"], "dim")
    console.print(f"[{style}]{engines}[/]{at}: {shown(touch['title'])}", highlight=False)
    console.print(f"    {shown(touch['consequence'])} [green]{shown(touch['advice'])}[/]", highlight=False)


def _totals(report: Report, console: Console) -> None:
    if not report.cells:
        return
    console.print()
    rounding = report.rounding
    if rounding.values:
        console.print(
            f"{rounding.values:,} outputs and states in float64: {rounding.differing:,} differ in a float32 bit "
            f"({rounding.near:,} are too near a rounding boundary to tell)",
            highlight=False,
        )
    cases = counted(len({cell.case for cell in report.cells}), "case")
    console.print(
        f"{cases} on {counted(len(report.engines), 'engine')} in {report.seconds:.0f} s, "
        f"{counted(len(report.cells), 'quantity', 'quantities')}",
        highlight=False,
    )


def printable(text: str) -> str:
    """Return text from a user's file with control characters escaped, so that it cannot control the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def shown(text: str) -> str:
    """Return the same text on one line, with Rich's markup escaped."""
    return escape(printable(text).replace("\n", "\\n"))
