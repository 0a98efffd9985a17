"""The matching of a run with the ledger: the cells that a row explains, and the rows that concern a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.compare import AGREES, FAILS, Comparison, KnownRow
from multilstm.engines.registry import engine_row
from multilstm.execution.environment import switches, users_switches
from multilstm.execution.options import Options
from multilstm.frameworks.packages import versions
from multilstm.ledger.facts import certain_facts, possible_facts, where
from multilstm.ledger.predictions import combinations
from multilstm.ledger.rows import SEVERITIES, Divergence, ledger
from multilstm.report.cells import Cell


@dataclasses.dataclass(frozen=True)
class Touch:
    """A row of the ledger that concerns a model with plain Keras layers.

    Attributes:
        row: the row.
        engines: the engines of the run that show it.
        layers: the layers at which the row's condition holds, or may hold; empty if it holds at every layer.
        certain: whether the condition holds in this run, rather than in a training that the user may do.
    """

    row: Divergence
    engines: tuple[str, ...]
    layers: tuple[str, ...]
    certain: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the row and its place as JSON data."""
        return {**described(self.row), "engines": self.engines, "layers": self.layers, "certain": self.certain}


def described(row: Divergence) -> dict[str, Any]:
    """Return the texts of a row as JSON data."""
    keys = ("id", "title", "severity", "consequence", "advice", "fixed_by", "link")
    return {key: getattr(row, key) for key in keys}


def explaining_rows(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return the texts of the rows that explain a cell, by id."""
    ids = {row.id for cell in cells for row in cell.comparison.known}
    return {row.id: described(row) for row in ledger() if row.id in ids}


# The comparison of an engine's values in a cell with the reference's answer that has some predicted faults, and the
# distance between the two as a share of the largest number of the answer.
Predicted = Callable[[Cell, tuple[str, ...]], tuple[Comparison, float]]


def mark_known(case: Case, cells: Sequence[Cell], predicted: Predicted) -> list[Cell]:
    """Give the verdict `known` to the failing cells of plain layers that rows of the ledger explain.

    Args:
        case: the case.
        cells: the cells of one part of the case, on one engine in one dtype.
        predicted: compares the engine's answer for a cell with the answer of some predictions.
    """
    if not any(_fails(cell) for cell in cells):
        return list(cells)
    first = cells[0]
    facts, installed, flags = (
        certain_facts(case, first.dtype),
        _versions(first.engine),
        switches(first.engine, first.device),
    )
    rows = [
        row
        for row in ledger()
        if where(row.when, facts)
        and first.device == (row.device or "cpu")  # a row that was seen on CPUs alone explains nothing on a GPU
        and row.affects(first.engine, first.device, installed, flags)
    ]
    return [_matched(cell, rows, predicted) if _fails(cell) else cell for cell in cells]


def _versions(engine: str) -> Mapping[str, str]:
    """Return the versions of all packages where an engine computes."""
    row = engine_row(engine)
    return row.packages if row.is_elsewhere else versions()


def _fails(cell: Cell) -> bool:
    return cell.layers == "plain" and cell.verdict in FAILS


def _matched(cell: Cell, rows: Sequence[Divergence], predicted: Predicted) -> Cell:
    if cell.verdict == "error":
        known = [row for row in rows if row.explains_error(cell.kind, cell.comparison.message)]
    else:
        known = _explaining(cell, [row for row in rows if row.differs(cell.kind)], predicted)
    if not known:
        return cell
    labels = tuple(KnownRow(row.id, row.title) for row in known)
    return dataclasses.replace(cell, comparison=dataclasses.replace(cell.comparison, verdict="known", known=labels))


def _explaining(cell: Cell, rows: Sequence[Divergence], predicted: Predicted) -> list[Divergence]:
    """Return the rows that together explain a difference: few predictions before many, exact answers before bounds."""
    if not rows:
        return []
    predicting: dict[str, list[Divergence]] = {}
    for row in rows:
        if row.prediction:
            predicting.setdefault(row.prediction, []).append(row)
    shares: dict[tuple[str, ...], float] = {}
    for names in combinations(list(predicting)):
        comparison, shares[names] = predicted(cell, names)
        if names and comparison.verdict in AGREES:
            return [row for name in names for row in predicting[name]]
    for names, share in shares.items():
        near = [row for row in rows if row.at_most is not None and share <= row.at_most]
        if near:
            return [*(row for name in names for row in predicting[name]), *near]
    return []


def touches(case: Case, options: Options) -> tuple[Touch, ...]:
    """Return the rows that concern the case's model with plain Keras layers, the most severe first.

    They include rows that this package's own engines avoid, such as those of float64: a user's program shows them.
    """
    flags = users_switches()
    facts = [possible_facts(case, dtype) for dtype in options.dtypes]
    certain = [certain_facts(case, dtype) for dtype in options.dtypes]
    rows = []
    for row in ledger():
        engines = tuple(name for name in options.engines if row.affects(name, options.device, _versions(name), flags))
        layers = dict.fromkeys(name for dtype_facts in facts for name in where(row.when, dtype_facts))
        if engines and layers:
            everywhere = layers.keys() == facts[0].keys()
            acts = any(where(row.when, dtype_facts) for dtype_facts in certain)
            rows.append(Touch(row, engines, () if everywhere else tuple(layers), acts))
    return tuple(sorted(rows, key=lambda touch: SEVERITIES.index(touch.row.severity)))
