"""The report as data: every quantity judged, the environment, and what was skipped; written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from multilstm.compare import AGREES, FAILS, VERDICTS, Comparison, Rounding
from multilstm.errors import ParityError
from multilstm.jobs.implementation import Implementation

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Cell:
    """One quantity of one case on one engine, judged.

    Attributes:
        case: the case's name.
        engine: the engine's name.
        device: `cpu` or `gpu`.
        dtype: of the computation.
        layers: `plain` or `portable`.
        seconds: what the job that gave it took in the engine; jobs give several quantities.
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

    @property
    def verdict(self) -> str:
        """The verdict alone."""
        return self.comparison.verdict

    @property
    def kind(self) -> str:
        """The kind of quantity: `hidden` of `hidden:lstm`."""
        return self.comparison.quantity.split(":")[0]

    def to_dict(self) -> dict[str, Any]:
        """The cell as JSON data."""
        made = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        made["implementation"] = str(self.implementation)
        return {**made.pop("comparison").__dict__, **made} | {"rounding": dataclasses.asdict(self.comparison.rounding)}


@dataclasses.dataclass(frozen=True)
class Report:
    """All cells of a run.

    Attributes:
        cells: the judged quantities.
        environment: machine, versions, precision, options of the run.
        skipped: engines that could not run here, with the reason.
        shortened: cases that were shortened, with how.
        seconds: wall-clock seconds of the whole run.
        touches: the rows of the ledger that a user's model touches in plain Keras, as JSON data.
    """

    cells: tuple[Cell, ...]
    environment: Mapping[str, Any]
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shortened: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    touches: tuple[Mapping[str, Any], ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many cells have each verdict."""
        return Counter(cell.verdict for cell in self.cells)

    @property
    def failures(self) -> tuple[Cell, ...]:
        """The cells that diverge or are errors."""
        return tuple(cell for cell in self.cells if cell.verdict in FAILS)

    @property
    def agrees(self) -> bool:
        """Whether something was compared, and nothing diverges or is an error."""
        return any(cell.verdict in AGREES for cell in self.cells) and not self.failures

    @property
    def rounding(self) -> Rounding:
        """Float32 bits over all forward quantities that were computed in float64."""
        total = Rounding()
        for cell in self.cells:
            total = total + cell.comparison.rounding
        return total

    def check(self) -> None:
        """Returns if everything that was compared agrees.

        Raises:
            ParityError: naming every engine, case, dtype and quantity that does not, with the worst place and both
                values; or that nothing was compared.
        """
        if self.agrees:
            return
        if not self.failures:
            skipped = "; ".join(f"{engine}: {reason}" for engine, reason in self.skipped.items()) or "no engine ran"
            raise ParityError(f"nothing was compared ({skipped})")
        lines = [
            f"{cell.engine} {cell.case} {cell.dtype} {cell.layers}: {cell.comparison.message or cell.verdict}"
            + (f" ({cell.comparison.explanation})" if cell.comparison.explanation else "")
            for cell in self.failures
        ]
        shown = lines[:20] + ([f"... and {len(lines) - 20} more"] if len(lines) > 20 else [])
        raise ParityError(f"{len(lines)} of {len(self.cells)} quantities do not agree:\n  " + "\n  ".join(shown))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "schema": SCHEMA,
            "environment": self.environment,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "shortened": self.shortened,
            "touches": self.touches,
            "cells": [cell.to_dict() for cell in self.cells],
        }

    def to_json(self) -> str:
        """The report as JSON text; infinite distances are written as null."""
        return json_text(self.to_dict())


def json_text(data: Mapping[str, Any]) -> str:
    """JSON text of plain data; what is not finite is written as null."""
    return json.dumps(_finite(dict(data)), indent=1, allow_nan=False)


def weakest(cells: Iterable[Cell]) -> Cell:
    """The cell with the weakest verdict, and among those the one furthest away."""
    return max(cells, key=lambda cell: (VERDICTS.index(cell.verdict), cell.comparison.max_abs or 0.0))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
