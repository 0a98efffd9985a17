"""The one table of tolerances: by dtype, device and kind of quantity, each row with its measure and its reason.

A tolerance is a bound for what rounding may do, not a number that happened to pass: the reason of every row says what
was measured, and how far below the bound it stayed.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from multilstm.errors import UsageError

FORWARD = ("output", "sequence", "hidden", "cell")
EXACT = ("parameter_count",)
TRAINED = ("gradient", "weights")
CURVES = ("loss", "accuracy", "trained_hidden", "trained_cell")
QUANTITIES = (*EXACT, *FORWARD, *CURVES, *TRAINED)


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """One row: `|actual - desired| <= atol + rtol * scale`.

    The scale is |desired| of each value for the measure `value`, and max |desired| of the tensor for `tensor`.
    """

    dtype: str
    device: str
    quantities: tuple[str, ...]
    atol: float
    rtol: float
    measure: Literal["value", "tensor"]
    reason: str

    def __str__(self) -> str:
        parts = [f"{self.atol:g}"] if self.atol or not self.rtol else []
        if self.rtol:
            parts.append(f"{self.rtol:g}*{'max' if self.measure == 'tensor' else ''}|desired|")
        return " + ".join(parts)


TABLE: tuple[Tolerance, ...] = (
    Tolerance("float64", "cpu", FORWARD, 4e-15, 4e-15, "value", "to be measured"),
    Tolerance("float64", "cpu", ("loss", "trained_hidden", "trained_cell"), 1e-9, 0.0, "value", "to be measured"),
    Tolerance("float64", "cpu", TRAINED, 0.0, 1e-9, "tensor", "to be measured"),
    Tolerance("float64", "cpu", ("accuracy",), 0.0, 0.0, "value", "to be measured"),
    Tolerance("float32", "cpu", FORWARD, 1e-6, 1e-6, "value", "to be measured"),
    Tolerance("float32", "cpu", ("loss", "trained_hidden", "trained_cell"), 1e-4, 0.0, "value", "to be measured"),
    Tolerance("float32", "cpu", ("gradient",), 0.0, 1e-4, "tensor", "to be measured"),
    Tolerance("float32", "cpu", ("weights",), 0.0, 1e-2, "tensor", "to be measured"),
    Tolerance("float32", "cpu", ("accuracy",), 0.02, 0.0, "value", "to be measured"),
)


def tolerance(dtype: str, device: str, quantity: str, atol: float | None = None, rtol: float | None = None) -> Tolerance:
    """The row for a quantity, or the user's own where `atol` or `rtol` is given (the other is then 0).

    Args:
        dtype: of the computation that is judged.
        device: where it ran.
        quantity: its kind, or `kind:where`.
        atol: replaces the row's.
        rtol: replaces the row's; of each value's |desired|.

    Raises:
        UsageError: where the table has no such row.
    """
    kind = quantity.split(":")[0]
    if kind in EXACT:
        return Tolerance(dtype, device, EXACT, 0.0, 0.0, "value", "counts are equal or not")
    if atol is not None or rtol is not None:
        return Tolerance(
            dtype, device, (kind,), 0.0 if atol is None else atol, 0.0 if rtol is None else rtol, "value", "given"
        )
    for row in TABLE:
        if (row.dtype, row.device) == (dtype, device) and kind in row.quantities:
            return row
    raise UsageError(
        f"no tolerance for quantity {quantity!r} in {dtype} on {device}; give --atol or --rtol, or add a row to "
        f"multilstm/compare/tolerances.py"
    )
