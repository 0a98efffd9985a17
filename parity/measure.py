"""Summary of recorded runs: verdicts, and the used share of each row of the table of tolerances, with its place.

multilstm parity --json REPORT.json; python parity/measure.py REPORT.json [REPORT.json]...
"""

import collections
import sys
from collections.abc import Iterator, Sequence

from multilstm.compare import TABLE, VERDICTS
from multilstm.report import Cell, Report
from multilstm.report.reading import read_report


def main(*paths: str) -> None:
    """Print the reports as one.

    Raises:
        SystemExit: for reports from different environments, or of one case twice.
    """
    reports = [read_report(path) for path in paths]
    if any(report.environment != reports[0].environment for report in reports):
        raise SystemExit("the reports are of different environments or options; expected parts of one run")
    named = [{cell.case for cell in report.cells} for report in reports]
    cases = set().union(*named)
    if len(cases) < sum(map(len, named)):
        raise SystemExit("a case is in two of the reports; expected parts of one run")
    cells = [cell for report in reports for cell in report.cells]
    lines = (*environment(reports), *verdicts(cells, len(cases)), "", *rows(cells))
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def environment(reports: Sequence[Report]) -> Iterator[str]:
    """Yield versions, machine and seconds."""
    facts = reports[0].environment
    yield ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    yield f"Python {facts['python']}, {facts['platform']}, {facts['processor']}, {facts['cores']} cores"
    summands = " + ".join(f"{report.seconds:.0f}" for report in reports)
    total = sum(report.seconds for report in reports)
    yield f"{total:.0f} s" + (f" ({summands})" if len(reports) > 1 else "")


def verdicts(cells: Sequence[Cell], cases: int) -> Iterator[str]:
    """Yield the numbers of cases and quantities, and of each verdict by dtype."""
    yield f"{cases} cases, {len(cells):,} quantities"
    counts = collections.Counter((cell.dtype, cell.verdict) for cell in cells)
    for dtype in dict.fromkeys(cell.dtype for cell in cells):
        numbers = (f"{verdict} {counts[dtype, verdict]:,}" for verdict in VERDICTS if counts[dtype, verdict])
        yield f"{dtype}: {', '.join(numbers)}"


def rows(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the largest used share of each row of the table and measured quantity."""
    measured = collections.defaultdict(list)
    for cell in cells:
        if cell.comparison.share is not None:
            measured[cell.dtype, cell.device, cell.kind].append(cell)
    for row in TABLE:
        for kind in row.quantities:
            if candidates := measured[row.dtype, row.device, kind]:
                worst = max(candidates, key=lambda cell: cell.comparison.share)
                where = f"{worst.engine} {worst.case} {worst.quantity}"
                used = f"used {worst.comparison.share:6.1%}  max_abs {worst.comparison.max_abs:.1e}"
                yield f"{row.dtype:14} {kind:14} {row!s:24} {used}  {where}"


if __name__ == "__main__":
    main(*sys.argv[1:])
