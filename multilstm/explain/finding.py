"""The result of an explanation: the cause of a divergence, and the first place at which the engine diverges."""

from __future__ import annotations

import dataclasses

CAUSES = {
    "rounding": "as large as a change of one unit in the last place of weights and inputs makes it in the reference",
    "precision": "as large as the rounding of a dtype with fewer bits: a part is computed in such a dtype",
    "semantics": "larger than any rounding: the engine computes something else",
    "unsupported": "the engine refuses the model",
    "crash": "the engine raised, crashed, timed out, or returned an incomplete answer",
}
_VALUES = {"cell": "cell state", "hidden": "hidden state", "output": "output"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Place and cause of a divergence of the forward pass; unknown facts are None.

    Attributes:
        cause: one of `CAUSES`.
        dtype: dtype of the explanation; float64 if the divergence also occurs there, since rounding hides nothing.
        layer: first layer, in the order of the model, whose output or state diverges.
        batch: number of the case's batch, from 0.
        timestep: first timestep, from 0, in the order of the sequence.
        row: number of the sequence in the batch, from 0.
        unit: number of the unit, or feature of the output, from 0.
        gate: first wrong gate, `i`, `f`, `c` or `o`; `cell`, `hidden` or `output` if all gates are right.
        actual: the engine's value at that place.
        desired: the reference's value at that place.
        notes: further facts, for a reader.
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
        numbers = [("batch", self.batch or None), ("timestep", self.timestep), ("row", self.row), ("unit", self.unit)]
        place = [] if self.layer is None else [f"first in {self.layer}"]
        place += [f"{name} {number}" for name, number in numbers if number is not None]
        place += [] if self.gate is None else [_VALUES.get(self.gate, f"gate {self.gate}")]
        text = ", ".join(place)
        if self.actual is not None and self.desired is not None:
            digits = ".17g" if self.dtype == "float64" else ".9g"
            text += f": actual {self.actual:{digits}}, desired {self.desired:{digits}} ({self.dtype})"
        return "; ".join(filter(None, (f"{self.cause}: {text}" if text else self.cause, *self.notes)))
