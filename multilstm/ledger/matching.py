"""What the ledger of known divergences says of a run: which cells it explains, and which rows a model touches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.cases.case import Case
from multilstm.compare import FAILS
from multilstm.execution.environment import versions
from multilstm.execution.options import Options
from multilstm.ledger.facts import certain_facts, possible_facts, where
from multilstm.ledger.rows import SEVERITIES, Divergence, ledger
from multilstm.report.data import Cell


@dataclasses.dataclass(frozen=True)
class Touch:
    """A row of the ledger that a model touches.

    Attributes:
        row: the row.
        engines: the engines of the run that show it.
        layers: the layers at which its condition holds, or may hold; empty where it does at every layer.
    """

    row: Divergence
    engines: tuple[str, ...]
    layers: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        row = self.row
        keys = ("id", "title", "severity", "consequence", "advice", "mended_by", "link")
        return {**{key: getattr(row, key) for key in keys}, "engines": self.engines, "layers": self.layers}


def judge(case: Case, cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one part, `known` where plain layers fail as a row of the ledger says whose condition is met."""
    if not any(_fails(cell) for cell in cells):
        return list(cells)
    installed, facts = versions(), certain_facts(case, cells[0].dtype)
    met = [row for row in ledger() if where(row.when, facts)]
    return [_judged(cell, met, installed) if _fails(cell) else cell for cell in cells]


def _fails(cell: Cell) -> bool:
    return cell.layers == "plain" and cell.verdict in FAILS


def _judged(cell: Cell, met: Sequence[Divergence], installed: Mapping[str, str]) -> Cell:
    found = cell.comparison
    rows = [
        row
        for row in met
        if cell.device == (row.device or "cpu")  # what was seen on CPUs alone explains nothing on a GPU
        and row.affects(cell.engine, cell.device, installed, {})
        and row.explains(cell.kind, cell.verdict, found.max_abs, found.message)
    ]
    if not rows:
        return cell
    said = "; ".join(f"{row.id}: {row.title}" for row in rows)
    message = f"{said} ({found.message})" if found.message else said
    return dataclasses.replace(cell, comparison=dataclasses.replace(found, verdict="known", message=message))


def touches(case: Case, options: Options) -> tuple[Touch, ...]:
    """The rows that a user of the case's model meets with plain Keras layers, the severest first.

    Rows that multilstm's own engines hide, such as those of float64, are among them: a user's program shows them.
    """
    installed = versions()
    facts = [possible_facts(case, dtype) for dtype in options.dtypes]
    found = []
    for row in ledger():
        engines = tuple(name for name in options.engines if row.affects(name, options.device, installed, {}))
        layers = dict.fromkeys(name for one in facts for name in where(row.when, one))
        if engines and layers:
            everywhere = layers.keys() == facts[0].keys()
            found.append(Touch(row, engines, () if everywhere else tuple(layers)))
    return tuple(sorted(found, key=lambda touch: SEVERITIES.index(touch.row.severity)))
