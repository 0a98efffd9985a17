"""Reports, read back from the files that `multilstm parity --json` wrote."""

from __future__ import annotations

import dataclasses
from typing import Any

from multilstm.compare import VERDICTS, Comparison, KnownRow, Mismatch, Quantity, Rounding
from multilstm.compare.quantity import KINDS
from multilstm.errors import InputError, choice, shown
from multilstm.files.regular import read_text
from multilstm.jobs.implementation import Implementation
from multilstm.json_data import parse_json, typed
from multilstm.report.arguments import Arguments
from multilstm.report.data import SCHEMA, Cell, Report

__all__ = ["read_report"]

LIMIT = 200_000_000  # bytes; the whole catalogue in every dtype has about a tenth of it
EXPECTED = "a report that `multilstm parity --json` wrote"


@dataclasses.dataclass
class _Known:
    id: str
    title: str


@dataclasses.dataclass
class _Rounding:
    values: int
    near: int
    differing: int


@dataclasses.dataclass
class _Mismatch:
    outside: int
    size: int
    place: list[int]
    actual: float | None
    desired: float | None
    max_rel: float | None
    mean_abs: float | None
    median_abs: float | None
    batch: int

    def values(self) -> Mismatch | None:
        """Return the mismatch; None if a number of it was not finite, which JSON cannot hold."""
        if None in (self.actual, self.desired, self.mean_abs, self.median_abs):
            return None
        return Mismatch(**{**vars(self), "place": tuple(self.place)})


@dataclasses.dataclass
class _Row:
    id: str
    title: str
    severity: str
    consequence: str
    advice: str
    fixed_by: list[str]
    link: str


@dataclasses.dataclass
class _Touch(_Row):
    engines: list[str]
    layers: list[str]
    certain: bool


@dataclasses.dataclass
class _Cell:
    """A cell as `Cell.to_dict` writes it."""

    case: str
    engine: str
    device: str
    dtype: str
    layers: str
    seconds: float
    implementation: str
    quantity: str
    verdict: str
    max_abs: float | None
    share: float | None
    max_ulp: int | None
    tolerance: str
    rounding: _Rounding
    message: str
    explanation: str
    known: list[_Known]
    response: float = 0.0
    mismatch: _Mismatch | None = None


@dataclasses.dataclass
class _File:
    """A report as `Report.to_dict` writes it."""

    schema: int
    verdict: str
    environment: dict[str, Any]
    seconds: float
    skipped: dict[str, str]
    shortened: dict[str, str]
    inputs: str
    touches: list[_Touch]
    cells: list[_Cell]
    named: list[str] = dataclasses.field(default_factory=list)
    without_recurrent: list[str] = dataclasses.field(default_factory=list)
    idle_masks: list[str] = dataclasses.field(default_factory=list)
    judge: str = "the float64 reference"
    arguments: Arguments | None = None
    origin: list[str] = dataclasses.field(default_factory=list)
    ledger: dict[str, _Row] = dataclasses.field(default_factory=dict)


def read_report(path: str) -> Report:
    """Return the report of a file. Its verdict is derived from its cells again.

    Args:
        path: a file that `multilstm parity --json` wrote.

    Raises:
        InputError: for a file that cannot be read, is cut off, is no report, or has another schema.
    """
    text = read_text(path, LIMIT, EXPECTED)
    try:
        data = parse_json(text, LIMIT)
        if not isinstance(data, dict) or "schema" not in data or "cells" not in data:
            raise InputError("this JSON is no report")
        if data["schema"] != SCHEMA:
            raise InputError(f"its schema is {shown(data['schema'])}, expected {SCHEMA}; record the run again")
        return _report(typed(_File, data, "report"))
    except InputError as error:
        raise InputError(f"cannot read {path!r}: {error}; expected {EXPECTED}") from None


def _report(file: _File) -> Report:
    return Report(
        cells=tuple(_cell(cell) for cell in file.cells),
        environment=file.environment,
        skipped=file.skipped,
        shortened=file.shortened,
        seconds=file.seconds,
        touches=tuple(dataclasses.asdict(touch) for touch in file.touches),
        named=tuple(file.named),
        without_recurrent=tuple(file.without_recurrent),
        idle_masks=tuple(file.idle_masks),
        judge=file.judge,
        inputs=file.inputs,
        origin=tuple(file.origin),
        arguments=file.arguments,
        ledger={name: dataclasses.asdict(row) for name, row in file.ledger.items()},
    )


def _cell(cell: _Cell) -> Cell:
    quantity = Quantity.parse(cell.quantity)
    if cell.verdict not in VERDICTS:
        raise InputError(choice("verdict", cell.verdict, VERDICTS))
    if quantity.kind not in KINDS:
        raise InputError(choice("kind of quantity", quantity.kind, KINDS))
    kernel, _, detail = cell.implementation.partition("; ")
    return Cell(
        case=cell.case,
        engine=cell.engine,
        device=cell.device,
        dtype=cell.dtype,
        layers=cell.layers,
        seconds=cell.seconds,
        implementation=Implementation(kernel, detail),
        comparison=Comparison(
            quantity,
            cell.verdict,
            cell.max_abs,
            cell.share,
            cell.max_ulp,
            cell.tolerance,
            cell.response,
            Rounding(**vars(cell.rounding)),
            cell.message,
            cell.explanation,
            tuple(KnownRow(row.id, row.title) for row in cell.known),
            None if cell.mismatch is None else cell.mismatch.values(),
        ),
    )
