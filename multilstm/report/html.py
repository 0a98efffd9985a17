"""The report as a page: one file with its data, style and script, which needs no network.

The page's Content-Security-Policy admits nothing but this style and this script, by their hashes. Every text from a
report is printable and escaped: into HTML here, and into the data as JSON. The script sets texts, never HTML.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from multilstm.compare import VERDICTS
from multilstm.errors import InputError
from multilstm.report.data import Report, counted, flat
from multilstm.report.page_data import known_rows, page_data
from multilstm.report.words import LETTERS, MEANING, printable

__all__ = ["to_html"]

SCRIPTS = ("rows.js", "detail.js", "matrix.js")


def to_html(reports: Mapping[str, Report]) -> str:
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
    style = _part("page.css")
    script = "\n".join(map(_part, SCRIPTS))
    return string.Template(_part("page.html")).substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        title=_text(_headline(reports)),
        heading="\n".join(_heading(reports)),
        summary="\n".join(line for name, report in reports.items() for line in _run(name, report, len(reports) > 1)),
        data=_json(page_data(reports)),
    )


def _part(name: str) -> str:
    """Return a file of the page."""
    return importlib.resources.files("multilstm.report").joinpath("page", name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    """Return the source of a policy that admits this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Mapping[str, Any]) -> str:
    """Return JSON that ends no script element: `<`, `>` and `&` are written as escapes, as is all beyond ASCII."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _text(text: object) -> str:
    """Return a text for HTML."""
    return escape(printable(str(text)))


def _headline(reports: Mapping[str, Report]) -> str:
    if len(reports) == 1:
        return next(report.sentences[0] for report in reports.values())
    return f"{counted(len(reports), 'report')} of multilstm parity"


def _mood(report: Report) -> str:
    """Return the class of a verdict: good, fair or bad."""
    if not report.agrees:
        return "bad"
    return "fair" if report.counts["known"] else "good"


def _heading(reports: Mapping[str, Report]) -> Iterator[str]:
    """Yield the verdict of each report; that of a single one is the heading of the page."""
    if len(reports) > 1:
        yield f"<h1>{_text(_headline(reports))}</h1>"
    for name, report in reports.items():
        first, *others = report.sentences
        if len(reports) > 1:
            yield f'<p class="verdict {_mood(report)}"><b>{_text(name)}</b>: {_text(report.sentence)}</p>'
        else:
            yield f'<h1 class="verdict {_mood(report)}">{_text(first)}</h1>'
            yield f"<p>{_text(' '.join(others))}</p>" if others else ""
        yield from (f'<p class="verdict fair">{_text(remark)}</p>' for remark in report.remarks)
        cases = counted(len({cell.case for cell in report.cells}), "case")
        quantities = counted(len(report.cells), "quantity", "quantities")
        totals = f"{cases} on {counted(len(report.engines), 'engine')}: {quantities} in {report.seconds:.0f} s."
        yield f'<p class="quiet">{_text(totals)}</p>'


def _run(name: str, report: Report, several: bool) -> Iterator[str]:
    """Yield the sections of one report below the matrix."""
    if several:
        yield f"<h2>{_text(name)}</h2>"
    yield _section("Verdicts by engine", _verdicts(report), is_open=True)
    known = known_rows(report)
    if known:
        yield _section("Known differences", _rows(known.values()), is_open=True)
    if report.touches:
        yield _section("Known problems of plain Keras with this model", _rows(report.touches))
    if report.skipped:
        yield _section("Skipped engines", _pairs(report.skipped), is_open=True)
    if report.origin:
        yield _section("Origin of the model", [f"<p>{_text(line)}</p>" for line in report.origin], is_open=True)
    if report.inputs:
        yield _section("Inputs", [f"<p>{_text(report.inputs)}.</p>"])
    executed = {cell.case for cell in report.cells}
    shortened = {case: reduction for case, reduction in report.shortened.items() if case in executed}
    if shortened:
        yield _section(f"Shortened cases ({len(shortened)})", _pairs(shortened))
    rounding = report.rounding
    if rounding.values:
        yield _section(
            "Float64 answers, rounded to float32",
            [
                f"<p>{rounding.values:,} values: {rounding.differing:,} differ in a bit, {rounding.near:,} are too "
                "near a rounding boundary to decide.</p>"
            ],
        )
    yield _section("Environment", _pairs(dict(flat(report.environment))))


def _section(title: str, lines: Sequence[str], is_open: bool = False) -> str:
    body = "\n".join(lines)
    return f"<details{' open' if is_open else ''}><summary>{_text(title)}</summary>\n{body}\n</details>"


def _verdicts(report: Report) -> list[str]:
    """Return the table of the number of quantities by engine and verdict."""
    verdicts = [verdict for verdict in VERDICTS if report.counts[verdict]]
    head = "".join(
        f'<th scope="col"><abbr title="{_text(MEANING[verdict])}">{verdict} ({LETTERS[verdict]})</abbr></th>'
        for verdict in verdicts
    )
    rows = [
        f'<tr><th scope="row">{_text(engine)}</th>'
        + "".join(f"<td>{counts[verdict]:,}</td>" if counts[verdict] else "<td></td>" for verdict in verdicts)
        + "</tr>"
        for engine, counts in report.counts_by_engine.items()
    ]
    meanings = [f"<dt>{verdict} ({LETTERS[verdict]})</dt><dd>{_text(MEANING[verdict])}</dd>" for verdict in verdicts]
    return [
        '<div class="scroll" tabindex="0" role="region" aria-label="Verdicts by engine"><table class="counts">',
        f'<thead><tr><th scope="col">engine</th>{head}</tr></thead><tbody>',
        *rows,
        "</tbody></table></div>",
        f"<dl>{''.join(meanings)}</dl>",
    ]


def _rows(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return rows of the ledger."""
    return _pairs({row["id"]: " ".join((f"{row['title']}.", row["consequence"], row["advice"])) for row in rows})


def _pairs(pairs: Mapping[str, Any]) -> list[str]:
    items = (f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in pairs.items())
    return ["<dl>", *items, "</dl>"]
