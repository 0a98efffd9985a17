"""What is found of a divergence: its cause, and the first place at which engine and reference part."""

from __future__ import annotations

import dataclasses

CAUSES = {
    "rounding": "as far as one unit in the last place of weights and inputs moves the reference",
    "precision": "as far as the rounding of a dtype of fewer bits goes: part of it is computed in one",
    "semantics": "further than any rounding: something else is computed",
    "unsupported": "the engine refuses it",
    "crash": "the engine raised, crashed or timed out",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Where and why an engine's forward pass parts from the reference; what could not be found is None.

    Attributes:
        cause: one of `CAUSES`.
        dtype: in which it was traced: float64 where it shows there too, since rounding hides nothing then.
        layer: the first layer, in the order of the model, whose output or state parts.
        batch: which of the case's batches, from 0.
        timestep: the first, from 0, in the order of the sequence.
        row: which sequence of the batch.
        unit: which unit, or feature of the output.
        gate: the first gate that is wrong, `i`, `f`, `c` or `o`; where all are right, `cell`, `hidden` or `output`.
        actual: the engine's value there.
        desired: the reference's.
        notes: what else is known, for a reader.
    """

    cause: str
    dtype: str
    layer: str | None = None
    batch: int = 0
    timestep: int | None = None
    row: int | None = None
    unit: int | None = None
    gate: str | None = None
    actual: float | None = None
    desired: float | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        places = [("batch", self.batch or None), ("timestep", self.timestep), ("row", self.row), ("unit", self.unit)]
        where = [] if self.layer is None else [f"first in {self.layer}"]
        where += [f"{name} {number}" for name, number in places if number is not None]
        what = {None: "", "cell": "cell state", "hidden": "hidden state", "output": "output"}.get(
            self.gate, f"gate {self.gate}"
        )
        text = ", ".join([*where, *([what] if what else [])])
        if self.actual is not None and self.desired is not None:
            digits = ".17g" if self.dtype == "float64" else ".9g"
            text += f": actual {self.actual:{digits}}, desired {self.desired:{digits}} ({self.dtype})"
        return "; ".join(filter(None, (f"{self.cause}: {text}" if text else self.cause, *self.notes)))
