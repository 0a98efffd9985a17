"""The verdict on a whole run in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from multilstm.compare import AGREES
from multilstm.errors import VALUE_LIMIT, listed
from multilstm.report.cells import Cell
from multilstm.report.data import ReportData
from multilstm.report.text import counted
from multilstm.report.words import of_engine, without_name

__all__ = ["sentence_of", "sentences_of", "totals"]

REFERENCE = "reference"  # the engine that judges all others
UNRECORDED_SHOWN = 6  # names in the verdict


def sentence_of(report: ReportData) -> str:
    """Return the verdict on a run in a few sentences; the first one names the worst."""
    return " ".join(sentences_of(report))


def sentences_of(report: ReportData) -> tuple[str, ...]:
    """Return the verdict, then the engines and cases that it leaves out."""
    return tuple(_sentences(report))


def _sentences(report: ReportData) -> Iterator[str]:
    if not any(cell.verdict != "unsupported" for cell in report.cells):
        reasons = [of_engine(engine, reason) for engine, reason in report.skipped.items()]
        unsupported = dict.fromkeys(of_engine(cell.engine, cell.comparison.message) for cell in report.cells)
        yield f"Nothing was compared ({'; '.join([*reasons, *unsupported]) or 'no engine ran'})."
        return
    yield from _disagreements(report)
    yield from _without_judge(report)
    if not report.counts["unjudged"] or any(report.counts[verdict] for verdict in AGREES):
        yield _agreement(report)
    idle = report.idle
    yield from (_idle(report, engine) for engine in idle)
    partial = [cell for cell in report.cells if cell.verdict == "unsupported" and cell.engine not in idle]
    if partial:
        engines = list(dict.fromkeys(cell.engine for cell in partial))
        cases = len({cell.case for cell in partial})
        yield f"{counted(cases, 'case')} not executed by {', '.join(engines)}."
    if {cell.engine for cell in report.cells if cell.verdict != "unsupported"} == {REFERENCE}:
        yield "No other engine was compared with the reference, which is the judge."
    if report.idle_masks:
        layers = ", ".join(report.idle_masks)
        yield f"Masking is not exercised: {layers} masked no timestep of these inputs."
    if report.idle_limits:
        verb = "it is" if len(report.idle_limits) == 1 else "they are"
        yield f"No value reaches {listed(report.idle_limits)}: {verb} not exercised."
    if report.unrecorded:
        first, more = report.unrecorded[:UNRECORDED_SHOWN], len(report.unrecorded) - UNRECORDED_SHOWN
        yield f"The recorded answers lack {', '.join(first)}{f' and {more:,} more' if more > 0 else ''}."
    if report.without_recurrent:
        names = report.without_recurrent
        yield f"{'The model contains' if len(names) == 1 else f'{len(names)} models contain'} no recurrent layer."


def totals(report: ReportData) -> str:
    """Return the sizes of a run: `1 case on 2 engines: 642 quantities in 3 s; 106 of them were not executed`."""
    cases = counted(len({cell.case for cell in report.cells}), "case")
    quantities = counted(len(report.cells), "quantity", "quantities")
    text = f"{cases} on {counted(len(report.engines), 'engine')}: {quantities} in {report.seconds:.0f} s"
    unsupported = report.counts["unsupported"]
    verb = "was" if unsupported == 1 else "were"
    return f"{text}; {unsupported:,} of them {verb} not executed." if unsupported else f"{text}."


def _idle(report: ReportData, engine: str) -> str:
    """Return the sentence on an engine that executed no case, with the first clause of its first refusal."""
    message = next(cell.comparison.message for cell in report.cells if cell.engine == engine)
    reason = without_name(engine, " ".join(message.split())).partition("; ")[0].rstrip(".")
    short = reason if len(reason) <= VALUE_LIMIT else f"{reason[: VALUE_LIMIT - 3]}..."
    return f"{engine} executed nothing{f': {short}' if short else ''}."


def _disagreements(report: ReportData) -> Iterator[str]:
    """Yield one sentence for each kind of disagreement, such as `Different answers: keras-jax (8 quantities).`."""
    for title, verdict in (("Different answers", "diverges"), ("Errors", "error"), ("Known differences", "known")):
        by_engine: dict[str, list[Cell]] = {}
        for cell in report.cells:
            if cell.verdict == verdict:
                by_engine.setdefault(cell.engine, []).append(cell)
        if by_engine:
            yield f"{title}: {', '.join(_of_engine(engine, cells) for engine, cells in by_engine.items())}."


def _without_judge(report: ReportData) -> Iterator[str]:
    """Yield the sentence on the quantities that engines agree on, and no reference computes."""
    engines = list(dict.fromkeys(cell.engine for cell in report.cells if cell.verdict == "unjudged"))
    if engines:
        quantities = counted(report.counts["unjudged"], "quantity", "quantities")
        yield f"Without a judge, {', '.join(engines)} agree with each other: {quantities}."
    if report.without_judge:
        layers = ", ".join(report.without_judge)
        yield f"The reference does not compute {layers}, so all engines may be wrong in the same way."
        yield "Gradients and training are not compared."


def _of_engine(engine: str, cells: list[Cell]) -> str:
    """Return the number of cells with the rows of the ledger: `keras-jax (8 quantities: stateful_state_is_lost)`."""
    rows = dict.fromkeys(row.id for cell in cells for row in cell.comparison.known)
    return f"{engine} ({counted(len(cells), 'quantity', 'quantities')}{': ' if rows else ''}{', '.join(rows)})"


def _agreement(report: ReportData) -> str:
    """Return the sentence on the quantities that agree; those of the reference count where it is alone."""
    executed = [cell for cell in report.cells if cell.verdict != "unsupported"]
    executed = [cell for cell in executed if cell.engine != REFERENCE] or executed
    agreeing = sum(cell.verdict in AGREES for cell in executed)
    if agreeing == len(executed):
        engines = ", ".join(dict.fromkeys(cell.engine for cell in executed))
        quantities = counted(agreeing, "quantity", "quantities")
        return f"Same answers on {engines}: {quantities}, compared with {report.judge}."
    if not agreeing:
        return "No quantity agrees."
    other = counted(agreeing, "other quantity agrees", "other quantities agree")
    return f"{other} with {report.judge}."
