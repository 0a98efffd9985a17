"""The report on a terminal: one table a dtype, programs by engines, that fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from multilstm.cases.families import family_of
from multilstm.compare.comparison import AGREES, VERDICTS
from multilstm.compare.tolerances import CURVES, EXACT, FORWARD, GRADIENTS, TRAINED
from multilstm.report.data import Cell, Report, weakest

ASPECTS = {
    "counts": EXACT,
    "forward": FORWARD,
    "gradient": GRADIENTS,
    "training": (*CURVES, *TRAINED),
}
FAILURES_SHOWN = 12
STYLES = {
    "equal": "green", "bitwise": "green", "rounded": "green", "within": "green", "known": "yellow",
    "unsupported": "dim", "diverges": "bold red", "error": "bold red",
}  # fmt: skip
MEANING = {
    "equal": "the same number",
    "bitwise": "the same bits as the reference",
    "rounded": "float64: the same bits once rounded to float32",
    "within": "inside the tolerance for rounding",
    "known": "outside, for a reason in the ledger",
    "unsupported": "the engine does not execute the case (-)",
    "diverges": "not the same answer",
    "error": "it raised, crashed or timed out",
}


def show(report: Report, console: Console, verbose: bool = False) -> None:
    """Prints the report: a table a dtype, what diverges, what was skipped, and the sum.

    Args:
        report: what to show.
        console: where to.
        verbose: one row a case instead of one row a program.
    """
    engines = list(dict.fromkeys(cell.engine for cell in report.cells))
    for dtype in dict.fromkeys(cell.dtype for cell in report.cells):
        cells = [cell for cell in report.cells if cell.dtype == dtype]
        console.print(_table(dtype, cells, engines, verbose))
    _legend(report, console)
    _failures(report, console)
    for engine, reason in report.skipped.items():
        console.print(f"[yellow]skipped[/] {engine}: {shown(reason)}", highlight=False)
    shortened: dict[str, list[str]] = {}
    ran = {cell.case for cell in report.cells}
    for case, how in report.shortened.items():
        if case in ran:
            shortened.setdefault(how, []).append(case)
    for how, cases in shortened.items():
        which = cases[0] if len(cases) == 1 else f"{len(cases)} cases"
        whole = "it" if len(cases) == 1 else "them"
        console.print(f"[dim]shortened[/] {shown(which)}: {shown(how)} (--full runs {whole} whole)", highlight=False)
    _implementations(report, console)
    _known(report, console)
    _touches(report, console)
    _sum(report, engines, console)


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
            found = [cell for cell in group if cell.kind in kinds]
            if not found:
                continue
            verdicts = [_verdict([cell for cell in found if cell.engine == engine]) for engine in engines]
            distances = [cell.comparison.max_abs for cell in found if cell.comparison.max_abs is not None]
            largest = "" if aspect == "counts" or not distances else f"{max(distances):.0e}"
            table.add_row(label, aspect, *verdicts, largest)
            label = ""
    return table


def _verdict(cells: Sequence[Cell]) -> str:
    if not cells:
        return ""
    supported = [cell for cell in cells if cell.verdict != "unsupported"]
    verdict = weakest(supported or cells).verdict
    if verdict == "unsupported":
        return f"[{STYLES[verdict]}]-[/]"
    return f"[{STYLES[verdict]}]{verdict}[/]" + ("*" if supported and len(supported) < len(cells) else "")


def _legend(report: Report, console: Console) -> None:
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
    mixed = [engine for engine, found in by_engine.items() if found == {True, False}]
    if mixed:
        console.print(f"[dim]* without the cases that {', '.join(mixed)} does not execute[/]", highlight=False)


def _failures(report: Report, console: Console) -> None:
    """Each failing job or quantity once: what a part's quantities share is said once."""
    lines: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in report.failures:
        what = cell.comparison.message if cell.verdict == "error" else cell.kind
        lines.setdefault((cell.engine, cell.case, cell.dtype, what), []).append(cell)
    if lines:
        console.print()
    if len(lines) > FAILURES_SHOWN:
        console.print(f"the first {FAILURES_SHOWN} of {len(lines)} differences (all of them with --json):")
    said: set[str] = set()  # all forward quantities of a case share an explanation
    for (engine, case, dtype, _), found in list(lines.items())[:FAILURES_SHOWN]:
        first, count = found[0].comparison, f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        console.print(f"[bold red]x[/] {engine} {shown(case)} {dtype}: {shown(first.message)}{count}", highlight=False)
        why = f"{engine} {case} {dtype} {first.explanation}"
        if first.explanation and why not in said:
            said.add(why)
            console.print(f"  {shown(first.explanation)}", highlight=False)


def _implementations(report: Report, console: Console) -> None:
    """What computed the LSTMs on a GPU, by engine: a kernel that was left for a loop is a line that can be seen."""
    ran: dict[tuple[str, str], dict[str, None]] = {}
    for cell in report.cells:
        if cell.device == "gpu" and cell.implementation.kernel:
            ran.setdefault((cell.engine, cell.implementation.kernel), {})[cell.case] = None
    for (engine, implementation), cases in ran.items():
        style = "yellow" if "loop" in implementation or "cuDNN" not in implementation else "dim"
        some = ", ".join(list(cases)[:3]) + (", ..." if len(cases) > 3 else "")
        where = f"{counted(len(cases), 'case')} ({shown(some)})"
        console.print(f"[{style}]ran[/] {engine}: {shown(implementation)}: {where}", highlight=False)


def _known(report: Report, console: Console) -> None:
    """The rows of the ledger behind the known cells, with the engines that show them."""
    rows: dict[str, set[str]] = {}
    for cell in report.cells:
        if cell.verdict == "known":
            row = cell.comparison.message.split(" (")[0]
            rows.setdefault(row, set()).add(cell.engine)
    for row, engines in rows.items():
        console.print(f"[yellow]known[/] {', '.join(sorted(engines))}: {shown(row)}", highlight=False)


def _touches(report: Report, console: Console) -> None:
    """What plain Keras does with a user's model: the severe rows in words, the others by their titles."""
    if not report.touches:
        return
    console.print("\n[bold]What plain Keras does with this model, sooner or later[/]", highlight=False)
    for touch in report.touches:
        if touch["severity"] == "low":
            continue
        engines = ", ".join(touch["engines"])
        at = f" at {shown(', '.join(touch['layers']))}" if touch["layers"] else ""
        style = "bold red" if touch["severity"] == "high" else "yellow"
        console.print(f"[{style}]{engines}[/]{at}: {shown(touch['title'])}", highlight=False)
        console.print(f"    {shown(touch['consequence'])} [green]{shown(touch['advice'])}[/]", highlight=False)
    low = [touch["title"] for touch in report.touches if touch["severity"] == "low"]
    if low:
        console.print(f"[dim]and in corners: {shown('; '.join(low))} (more with --json)[/]", highlight=False)


def _sum(report: Report, engines: Sequence[str], console: Console) -> None:
    console.print()
    rounding = report.rounding
    if rounding.values:
        console.print(
            f"{rounding.values:,} outputs and states in float64: {rounding.differing:,} differ in a float32 bit "
            f"({rounding.near:,} lie too near a rounding boundary to tell)",
            highlight=False,
        )
    cases = len({cell.case for cell in report.cells})
    agreed = sum(report.counts[verdict] for verdict in AGREES)
    verdict = "[bold green]all agree[/]" if report.agrees else "[bold red]they do not agree[/]"
    if not report.cells:
        verdict = "[bold red]nothing was compared[/]"
    console.print(
        f"{counted(cases, 'case')} on {counted(len(engines), 'engine')} in {report.seconds:.0f} s: {agreed:,} of "
        f"{counted(len(report.cells), 'quantity', 'quantities')} agree: {verdict}",
        highlight=False,
    )


def printable(text: str) -> str:
    """Text of a user's file without control characters, which could otherwise rule the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def shown(text: str) -> str:
    """The same on one line, and no markup of Rich's."""
    return escape(printable(text).replace("\n", "\\n"))


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things, such as `2,020 models`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
