"""The verdict on one quantity: names, count, shape, dtype and finiteness first, values last.

Verdicts, from strongest to weakest:

    equal        counts and shapes: the same numbers
    bitwise      the same bits as the reference, rounded to the dtype
    rounded      float64, forward: inside the tolerance, and the same float32 bits after rounding
    within       inside the tolerance row
    unjudged     inside the tolerance row of every other engine; the model has no reference
    known        outside, and a row of the ledger of known divergences explains it
    unsupported  the engine does not execute this case
    diverges     outside, for no known reason
    error        the engine raised, crashed or timed out

A missing or empty array diverges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from multilstm.compare.distances import Rounding, max_abs, max_ulp, rounding, same_bits
from multilstm.compare.quantity import EXACT, FORWARD, Quantity
from multilstm.compare.tolerances import Tolerance
from multilstm.jobs.dtypes import stored
from multilstm.spec.arrays import Array

VERDICTS = ("equal", "bitwise", "rounded", "within", "unjudged", "known", "unsupported", "diverges", "error")
AGREES = ("equal", "bitwise", "rounded", "within")
FAILS = ("diverges", "error")
NOTHING = Rounding()
WITH_TIME = ("output", "sequence", "input_gradient")  # arrays [batch, timesteps, features], if they have three axes
STRETCHES = 60


class KnownRow(NamedTuple):
    """A row of the ledger that explains a divergence.

    Attributes:
        id: the row's id, the name of its reproducer.
        title: the row's title.
    """

    id: str
    title: str


class OverTime(NamedTuple):
    """The error over the timesteps of an array `[batch, timesteps, features]`.

    Attributes:
        timesteps: the number of timesteps.
        shares: the largest share of the tolerance in each stretch of timesteps, in the order of the array. There are
            `STRETCHES` of almost equal length; a shorter array has one for each timestep.
    """

    timesteps: int
    shares: tuple[float, ...]


class Mismatch(NamedTuple):
    """The values outside the tolerance: their number, the worst of them, and statistics.

    Attributes:
        outside: the number of values outside the tolerance.
        size: the number of all values.
        place: the index of the worst value.
        actual: the engine's value there.
        desired: the reference's value there.
        max_rel: the largest difference relative to its desired value; None if all of these are zero.
        mean_abs: the mean of all absolute differences.
        median_abs: the median of all absolute differences.
        batch: the number of the batch that the values belong to.
        over_time: the error over the timesteps; None for an array without them.
    """

    outside: int
    size: int
    place: tuple[int, ...]
    actual: float
    desired: float
    max_rel: float | None
    mean_abs: float
    median_abs: float
    batch: int = 0
    over_time: OverTime | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One quantity of one engine against the reference.

    Attributes:
        quantity: the quantity.
        verdict: one of `VERDICTS`.
        max_abs: the largest absolute distance; None where the two arrays cannot be subtracted.
        share: the largest share of the tolerance that is used; above 1 is outside.
        max_ulp: the largest distance in units in the last place of the dtype; None where `max_abs` is None.
        tolerance: the tolerance row, as text.
        response: the part of the tolerance for rounding that the model amplifies; 0: the row of the table was enough.
        rounding: counts of float32 bits, for forward quantities in float64.
        message: the difference, with the worst place and both values; empty for an agreement.
        explanation: the cause of a divergence and the place where it begins (see `multilstm.explain`).
        known: the rows of the ledger that explain a divergence; empty unless the verdict is `known`.
        mismatch: the values outside the tolerance; None for an agreement, and where no values were compared.
    """

    quantity: Quantity
    verdict: str
    max_abs: float | None = None
    share: float | None = None
    max_ulp: int | None = None
    tolerance: str = ""
    response: float = 0.0
    rounding: Rounding = NOTHING
    message: str = ""
    explanation: str = ""
    known: tuple[KnownRow, ...] = ()
    mismatch: Mismatch | None = None


def compare(quantity: Quantity, actual: Array | None, desired: Array | None, row: Tolerance) -> Comparison:
    """Compare one array with the desired one.

    Args:
        quantity: the quantity that both arrays hold.
        actual: the engine's array, or None if it returned none.
        desired: the reference's array (float64), or None if it has none.
        row: the tolerance.

    Returns:
        The comparison; its verdict is `equal`, `bitwise`, `rounded`, `within` or `diverges`.
    """
    wrong = _unlike(quantity, actual, desired)
    if wrong or actual is None or desired is None:
        return _diverges(quantity, row, wrong)
    actual, desired = np.asarray(actual), np.asarray(desired)
    if quantity.kind in EXACT:
        if (actual == desired).all():
            return Comparison(quantity, "equal", 0.0, 0.0, 0, str(row))
        return _diverges(quantity, row, f"is {actual.tolist()}, expected {desired.tolist()}")
    wrong = _not_numbers(actual, desired, stored(row.dtype))
    return _diverges(quantity, row, wrong) if wrong else _compare_values(quantity, actual, desired, row)


def compare_batches(
    quantity: Quantity, actual: Sequence[Array], desired: Sequence[Array], row: Tolerance
) -> Comparison:
    """Compare a quantity that occurs once in every batch.

    Args:
        quantity: the quantity.
        actual: the engine's arrays, one a batch.
        desired: the reference's arrays, one a batch.
        row: the tolerance.

    Returns:
        The weakest verdict of all batches, with the largest distances.
    """
    count = max(len(actual), len(desired))
    comparisons = [
        compare(
            quantity,
            actual[index] if index < len(actual) else None,
            desired[index] if index < len(desired) else None,
            row,
        )
        for index in range(count)
    ]
    worst = max(range(count), key=lambda index: VERDICTS.index(comparisons[index].verdict))
    message, mismatch = comparisons[worst].message, comparisons[worst].mismatch
    return dataclasses.replace(
        comparisons[worst],
        max_abs=max((c.max_abs for c in comparisons if c.max_abs is not None), default=None),
        share=max((c.share for c in comparisons if c.share is not None), default=None),
        max_ulp=max((c.max_ulp for c in comparisons if c.max_ulp is not None), default=None),
        rounding=sum((c.rounding for c in comparisons), Rounding()),
        message=f"batch {worst}: {message}" if message and count > 1 else message,
        mismatch=None if mismatch is None else mismatch._replace(batch=worst),
    )


def _diverges(quantity: Quantity, row: Tolerance, message: str) -> Comparison:
    return Comparison(quantity, "diverges", tolerance=str(row), message=f"{quantity}: {message}")


def _unlike(quantity: Quantity, actual: Array | None, desired: Array | None) -> str:
    """Return the reason why two arrays cannot be compared value by value; empty if they can."""
    if actual is None:
        return "it is missing: the engine returned none"
    if desired is None:
        return "it is missing: the desired answer has none"
    if np.shape(actual) != np.shape(desired):
        return f"shape is {np.shape(actual)}, expected {np.shape(desired)}"
    if np.size(desired) == 0 and quantity.kind != "weight_shape":  # a scalar has no sizes
        return f"it is empty, shape {np.shape(desired)}: nothing was compared"
    return ""


def _not_numbers(actual: Array, desired: Array, dtype: str) -> str:
    """Return the reason why the values are not finite numbers of `dtype`; empty if they are."""
    if actual.dtype != dtype:
        return f"dtype is {actual.dtype}, expected {dtype}"
    if desired.dtype.kind not in "biuf":
        return f"the desired dtype is {desired.dtype}, expected real numbers"
    if wrong := _not_finite(actual, "values"):
        return wrong
    if wrong := _not_finite(desired, "desired values"):
        return f"{wrong}; where these are the reference's, use smaller weights or inputs"
    return ""


def _not_finite(array: Array, noun: str) -> str:
    """Return the number and the first place of the values that are not finite; empty for none."""
    finite = np.isfinite(array)
    if finite.all():
        return ""
    place = tuple(int(i) for i in np.argwhere(~finite)[0])
    return f"{int((~finite).sum())} of {array.size} {noun} are not finite, the first at {place}"


def _compare_values(quantity: Quantity, actual: Array, desired: Array, row: Tolerance) -> Comparison:
    differences = np.abs(actual - desired)
    allowed = row.allowed(desired)
    row = row.at(desired)
    inside = bool((differences <= allowed).all())
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(differences > 0, differences / allowed, 0.0)
    share = float(shares.max())
    counted = NOTHING
    if row.dtype == "float64" and quantity.kind in FORWARD:
        counted = rounding(actual, desired, allowed)
    dtype = stored(row.dtype)
    if not inside:
        verdict = "diverges"
    elif same_bits(actual, desired, dtype):
        verdict = "bitwise"
    elif counted.values and not counted.differing:
        verdict = "rounded"
    else:
        verdict = "within"
    mismatch = None
    if not inside:
        mismatch = _mismatch(differences, differences - allowed, actual, desired)
        mismatch = mismatch._replace(over_time=_over_time(shares) if quantity.kind in WITH_TIME else None)
    return Comparison(
        quantity,
        verdict,
        max_abs=max_abs(actual, desired),
        share=share,
        max_ulp=max_ulp(actual, desired, dtype),
        tolerance=str(row),
        response=row.response,
        rounding=counted,
        message="" if mismatch is None else _worst(quantity, mismatch, row),
        mismatch=mismatch,
    )


def _mismatch(differences: Array, excess: Array, actual: Array, desired: Array) -> Mismatch:
    """Return the values outside the tolerance; `excess` is the difference less the tolerance, positive outside."""
    place = np.unravel_index(int(excess.argmax()), actual.shape)
    relative = differences[desired != 0] / np.abs(desired[desired != 0])
    return Mismatch(
        outside=int((excess > 0).sum()),
        size=int(actual.size),
        place=tuple(int(index) for index in place),
        actual=float(actual[place]),
        desired=float(desired[place]),
        max_rel=float(relative.max()) if relative.size else None,
        mean_abs=float(differences.mean()),
        median_abs=float(np.median(differences)),
    )


def _over_time(shares: Array) -> OverTime | None:
    """Return the largest shares of the tolerance over axis 1 of three; None for another number of axes."""
    if shares.ndim != 3:
        return None
    steps = shares.max(axis=(0, 2))
    stretches = np.array_split(steps, min(steps.size, STRETCHES))
    return OverTime(steps.size, tuple(float(stretch.max()) for stretch in stretches))


def _worst(quantity: Quantity, mismatch: Mismatch, row: Tolerance) -> str:
    """Return the message for values outside the tolerance, with the worst place and both values there."""
    digits = ".17g" if row.dtype == "float64" else ".9g"
    return (
        f"{quantity}: {mismatch.outside} of {mismatch.size} values differ by more than {row}; "
        f"worst at {list(mismatch.place)}: actual {mismatch.actual:{digits}}, desired {mismatch.desired:{digits}}"
    )
