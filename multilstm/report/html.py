"""The report as a page: one file with its data, style and script, which needs no network.

The page's Content-Security-Policy admits nothing but this style and this script, by their hashes. Every text from a
report is printable and escaped into HTML here, or kept in the packed data. The script sets texts, never HTML.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from multilstm.compare import VERDICTS
from multilstm.errors import InputError
from multilstm.report.data import ReportData
from multilstm.report.document import packed, pairs, part, policy, section, text
from multilstm.report.page_data import known_rows, page_data
from multilstm.report.sentences import sentence_of, sentences_of, totals
from multilstm.report.text import counted, flat
from multilstm.report.words import LETTERS, MEANING

__all__ = ["to_html"]

SCRIPTS = ("rows.js", "detail.js", "matrix.js")


def to_html(reports: Mapping[str, ReportData]) -> str:
    """Return a page that shows reports.

    Args:
        reports: the reports, by the name that the page shows where there are several.

    Raises:
        InputError: for reports of several versions of multilstm, whose cases and tolerances may differ.
    """
    versions = {str(report.environment.get("multilstm")) for report in reports.values()}
    if len(versions) > 1:
        raise InputError(
            f"the reports are of multilstm {', '.join(sorted(versions))}; one page shows reports of one version"
        )
    style = part("page.css")
    script = "\n".join(map(part, SCRIPTS))
    return string.Template(part("page.html")).substitute(
        policy=policy(style, script),
        style=style,
        script=script,
        title=text(_title(reports)),
        heading="\n".join(_heading(reports)),
        summary="\n".join(line for name, report in reports.items() for line in _run(name, report, len(reports) > 1)),
        data=packed(page_data(reports)),
    )


def _title(reports: Mapping[str, ReportData]) -> str:
    """Return the headline, behind the names of the users' models."""
    models = dict.fromkeys(report.model for report in reports.values() if report.model)
    return ": ".join(filter(None, (", ".join(models), _headline(reports))))


def _headline(reports: Mapping[str, ReportData]) -> str:
    if len(reports) == 1:
        return next(sentences_of(report)[0] for report in reports.values())
    return f"{counted(len(reports), 'report')} of multilstm parity"


def _mood(report: ReportData) -> str:
    """Return the class of a verdict: good, fair or bad."""
    if not report.agrees:
        return "bad"
    return "fair" if report.counts["known"] else "good"


def _heading(reports: Mapping[str, ReportData]) -> Iterator[str]:
    """Yield the verdict of each report; that of a single one is the heading of the page."""
    if len(reports) > 1:
        yield f"<h1>{text(_headline(reports))}</h1>"
    for name, report in reports.items():
        first, *others = sentences_of(report)
        if len(reports) > 1:
            yield f'<p class="verdict {_mood(report)}"><b>{text(name)}</b>: {text(sentence_of(report))}</p>'
        else:
            yield f'<h1 class="verdict {_mood(report)}">{text(first)}</h1>'
            yield f"<p>{text(' '.join(others))}</p>" if others else ""
        yield from (f'<p class="verdict fair">{text(remark)}</p>' for remark in report.remarks)
        model = f"Model: {report.model}. " if report.model else ""
        yield f'<p class="quiet">{text(model + totals(report))}</p>'


def _run(name: str, report: ReportData, several: bool) -> Iterator[str]:
    """Yield the sections of one report below the matrix."""
    if several:
        yield f"<h2>{text(name)}</h2>"
    yield section("Verdicts by engine", _verdicts(report), is_open=True)
    known = known_rows(report)
    if known:
        yield section("Known differences", _rows(known.values()), is_open=True)
    if report.touches:
        yield section("Known problems of plain Keras with this model", _rows(report.touches))
    if report.skipped:
        yield section("Skipped engines", pairs(report.skipped), is_open=True)
    if report.origin:
        yield section("Origin of the model", [f"<p>{text(line)}</p>" for line in report.origin], is_open=True)
    if report.inputs:
        yield section("Inputs", [f"<p>{text(report.inputs)}.</p>"])
    shortened = _shortened(report)
    if shortened:
        yield section(
            f"Shortened cases ({sum(map(len, shortened.values())):,})",
            pairs({f"{reduction} ({len(cases):,})": ", ".join(cases) for reduction, cases in shortened.items()}),
        )
    rounding = report.rounding
    if rounding.values:
        yield section(
            "Float64 answers, rounded to float32",
            [
                f"<p>{rounding.values:,} values: {rounding.differing:,} differ in a bit, {rounding.near:,} are too "
                "near a rounding boundary to decide.</p>"
            ],
        )
    yield section("Environment", pairs(dict(flat(report.environment))))


def _shortened(report: ReportData) -> dict[str, list[str]]:
    """Return the executed cases by the words of their reduction."""
    cases: dict[str, list[str]] = {}
    for case in dict.fromkeys(cell.case for cell in report.cells):
        if case in report.shortened:
            cases.setdefault(report.shortened[case], []).append(case)
    return cases


def _verdicts(report: ReportData) -> list[str]:
    """Return the table of the number of quantities by engine and verdict."""
    verdicts = [verdict for verdict in VERDICTS if report.counts[verdict]]
    head = "".join(
        f'<th scope="col"><abbr title="{text(MEANING[verdict])}">{verdict} ({LETTERS[verdict]})</abbr></th>'
        for verdict in verdicts
    )
    rows = [
        f'<tr><th scope="row">{text(engine)}</th>'
        + "".join(f"<td>{counts[verdict]:,}</td>" if counts[verdict] else "<td></td>" for verdict in verdicts)
        + "</tr>"
        for engine, counts in report.counts_by_engine.items()
    ]
    meanings = [f"<dt>{verdict} ({LETTERS[verdict]})</dt><dd>{text(MEANING[verdict])}</dd>" for verdict in verdicts]
    return [
        '<div class="scroll" tabindex="0" role="region" aria-label="Verdicts by engine"><table class="counts">',
        f'<thead><tr><th scope="col">engine</th>{head}</tr></thead><tbody>',
        *rows,
        "</tbody></table></div>",
        f"<dl>{''.join(meanings)}</dl>",
    ]


def _rows(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return rows of the ledger."""
    return pairs({row["id"]: " ".join((f"{row['title']}.", row["consequence"], row["advice"])) for row in rows})
