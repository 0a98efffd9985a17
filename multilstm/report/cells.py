"""A judged quantity, the job to which it belongs, and the order in which a report shows cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

from multilstm.compare import VERDICTS, Comparison, Mismatch, Quantity
from multilstm.jobs.implementation import Implementation

RECORDED = "recorded"  # in place of an engine's name: the answers of another program


class JobKey(NamedTuple):
    """The name of a job in a run: one part of one case on one engine.

    Attributes:
        case: the case's name.
        engine: the engine's name.
        device: `cpu` or `gpu`.
        dtype: the dtype of the computation.
        layers: `plain` or `portable`.
        part: `forward`, `gradient`, `program` or `updates`; empty for answers without a part.
    """

    case: str
    engine: str
    device: str
    dtype: str
    layers: str
    part: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.engine, self.case, self.dtype, self.part)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One judged quantity of one case on one engine.

    Attributes:
        case: the case's name.
        engine: the engine's name.
        device: `cpu` or `gpu`.
        dtype: the dtype of the computation.
        layers: `plain` or `portable`.
        part: the part of the case: `forward`, `gradient`, `program` or `updates`; empty where it is unknown.
        digest: the digest of the job's inputs and weights; empty where it is unknown.
        seconds: the time of the job inside the engine; the quantities of one job share it.
        implementation: the kernel that computed the LSTMs; empty where nothing ran.
        comparison: the verdict, with its distances.
    """

    case: str
    engine: str
    device: str
    dtype: str
    layers: str
    seconds: float
    implementation: Implementation
    comparison: Comparison
    part: str = ""
    digest: str = ""

    @property
    def job(self) -> JobKey:
        """The job to which the cell belongs."""
        return JobKey(*(getattr(self, name) for name in JobKey._fields))

    @property
    def verdict(self) -> str:
        """The verdict alone."""
        return self.comparison.verdict

    @property
    def quantity(self) -> Quantity:
        """The quantity."""
        return self.comparison.quantity

    @property
    def kind(self) -> str:
        """The kind of quantity: `hidden` of `hidden:lstm`."""
        return self.comparison.quantity.kind

    def to_dict(self) -> dict[str, Any]:
        """Return the cell as JSON data without its job: the comparison's fields next to seconds and implementation."""
        comparison = self.comparison
        return {
            **comparison.__dict__,
            "seconds": self.seconds,
            "implementation": str(self.implementation),
            "quantity": str(comparison.quantity),
            "rounding": dataclasses.asdict(comparison.rounding),
            "known": [row._asdict() for row in comparison.known],
            "mismatch": _mismatch(comparison.mismatch),
        }


def _mismatch(mismatch: Mismatch | None) -> dict[str, Any] | None:
    """Return a mismatch as JSON data."""
    if mismatch is None:
        return None
    curve = mismatch.over_time
    return {**mismatch._asdict(), "over_time": None if curve is None else curve._asdict()}


def in_order(cells: Iterable[Cell], cases: Iterable[str], engines: Iterable[str], dtypes: Iterable[str]) -> list[Cell]:
    """Return cells by case, engine, dtype and part; names that are not given come last, in the order of the cells."""
    cells = list(cells)
    orders = [
        {name: place for place, name in enumerate(dict.fromkeys((*names, *present)))}
        for names, present in (
            (cases, [cell.case for cell in cells]),
            (engines, [cell.engine for cell in cells]),
            (dtypes, [cell.dtype for cell in cells]),
        )
    ]
    of_case, of_engine, of_dtype = orders
    return sorted(cells, key=lambda cell: (of_case[cell.case], of_engine[cell.engine], of_dtype[cell.dtype], cell.part))


def weakest(cells: Iterable[Cell]) -> Cell:
    """Return the cell with the weakest verdict, and among these the one with the largest distance."""
    return max(cells, key=lambda cell: (VERDICTS.index(cell.verdict), cell.comparison.max_abs or 0.0))
