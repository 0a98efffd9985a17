"""One quantity judged: names, count, shape, dtype and finiteness first, values last; nothing missing passes.

Verdicts, from strongest to weakest:

    equal        names, shapes, counts: the same
    bitwise      the same bits as the reference, rounded to the dtype
    rounded      float64, forward: inside the tolerance, and the same float32 bits after rounding
    within       inside the tolerance row
    known        outside, and a row of the ledger of known divergences says why
    unsupported  the engine does not execute this case
    diverges     outside
    error        the engine raised, crashed or timed out
"""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.compare.distances import Rounding, max_abs, max_ulp, rounding, same_bits
from multilstm.compare.tolerances import EXACT, FORWARD, Tolerance
from multilstm.jobs.dtypes import stored
from multilstm.spec.arrays import Array

VERDICTS = ("equal", "bitwise", "rounded", "within", "known", "unsupported", "diverges", "error")
AGREES = ("equal", "bitwise", "rounded", "within")
FAILS = ("diverges", "error")
NOTHING = Rounding()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One quantity of one engine against the reference.

    Attributes:
        quantity: `kind` or `kind:where`, for example `hidden:lstm_1`.
        verdict: one of `VERDICTS`.
        max_abs: the largest absolute distance; None where there are no two arrays of one shape.
        share: the largest share of what the row allows; more than 1 is outside.
        max_ulp: the largest distance in units in the last place of the dtype; None likewise.
        tolerance: the row applied, as text.
        rounding: float32 bits, for forward quantities in float64.
        message: what is wrong, with the worst place and both values; empty where all is well.
        explanation: of what diverges, the cause and the first place at which it parts (see `multilstm.explain`).
    """

    quantity: str
    verdict: str
    max_abs: float | None = None
    share: float | None = None
    max_ulp: int | None = None
    tolerance: str = ""
    rounding: Rounding = NOTHING
    message: str = ""
    explanation: str = ""


def compare(quantity: str, actual: Array | None, desired: Array | None, row: Tolerance) -> Comparison:
    """Judges one array against the desired one.

    Args:
        quantity: its name.
        actual: what the engine gave, or None where it gave nothing.
        desired: what the reference gave (float64), or None where it gave nothing.
        row: the tolerance.
    """

    def diverges(message: str) -> Comparison:
        return Comparison(quantity, "diverges", tolerance=str(row), message=f"{quantity}: {message}")

    if actual is None or desired is None:
        side = "the engine gave none" if actual is None else "the reference has none"
        return diverges(f"it is missing: {side}")
    actual, desired = np.asarray(actual), np.asarray(desired)
    if actual.shape != desired.shape:
        return diverges(f"shape is {actual.shape}, expected {desired.shape}")
    if desired.size == 0:
        return diverges(f"it is empty, shape {desired.shape}: nothing was compared")
    kind = quantity.split(":")[0]
    if kind in EXACT:
        if (actual == desired).all():
            return Comparison(quantity, "equal", 0.0, 0.0, 0, str(row))
        return diverges(f"is {actual.tolist()}, expected {desired.tolist()}")
    dtype = stored(row.dtype)
    if actual.dtype != dtype:
        return diverges(f"dtype is {actual.dtype}, expected {dtype}")
    finite = np.isfinite(actual)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        return diverges(f"{int((~finite).sum())} of {actual.size} values are not finite, the first at {place}")
    if not np.isfinite(desired).all():
        return diverges("the reference itself is not finite; the case's numbers overflow")
    differences = np.abs(actual - desired)
    scale = np.abs(desired).max() if row.measure == "tensor" else np.abs(desired)
    allowed = row.atol + row.rtol * scale
    inside = bool((differences <= allowed).all())
    with np.errstate(divide="ignore", invalid="ignore"):
        share = float(np.max(np.where(differences > 0, differences / allowed, 0.0)))
    counted = NOTHING
    if row.dtype == "float64" and kind in FORWARD:
        counted = rounding(actual, desired, row.atol + row.rtol * np.abs(desired))
    if not inside:
        verdict = "diverges"
    elif same_bits(actual, desired, dtype):
        verdict = "bitwise"
    elif counted.values and not counted.differing:
        verdict = "rounded"
    else:
        verdict = "within"
    message = "" if inside else _worst(quantity, differences, allowed, actual, desired, row)
    distances = max_abs(actual, desired), share, max_ulp(actual, desired, dtype)
    return Comparison(quantity, verdict, *distances, str(row), counted, message)


def _worst(quantity: str, differences: Array, allowed: Array, actual: Array, desired: Array, row: Tolerance) -> str:
    excess = differences - allowed
    place = np.unravel_index(int(excess.argmax()), actual.shape)
    index = ", ".join(str(int(i)) for i in place)
    digits = ".17g" if row.dtype == "float64" else ".9g"
    return (
        f"{quantity}: {int((excess > 0).sum())} of {actual.size} values differ by more than {row}; "
        f"worst at [{index}]: actual {actual[place]:{digits}}, desired {desired[place]:{digits}}"
    )
