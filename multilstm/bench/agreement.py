"""Agreement of a contestant's answers with the judge's, in units of the parity suite's tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from multilstm.bench.contestants.base import GRADIENT
from multilstm.bench.shapes import Shape
from multilstm.compare.tolerances import tolerance
from multilstm.spec.arrays import Array


def largest_distance(
    quantity: str, actual: Mapping[str, Array], desired: Mapping[str, Array], shape: Shape, device: str
) -> float:
    """Return the largest distance of all arrays of a quantity, in units of the tolerance; above 1 they disagree.

    Args:
        quantity: `forward` or `gradient`.
        actual: the contestant's arrays by name.
        desired: the judge's arrays, of the same names.
        shape: the problem.
        device: the contestant's device.
    """
    return max(_distance(quantity, actual[name], array, shape, device) for name, array in desired.items())


def _distance(quantity: str, actual: Array, desired: Array, shape: Shape, device: str) -> float:
    row = tolerance("float32", device, "gradient" if quantity == GRADIENT else "sequence")
    if actual.shape != desired.shape:
        return math.inf
    if quantity != GRADIENT and shape.shortest is not None:
        real = np.arange(shape.timesteps) < shape.lengths()[:, None]
        actual, desired = actual[real], desired[real]
    units = float((np.abs(actual - desired) / row.allowed(desired)).max()) / _growth(shape)
    return units if math.isfinite(units) else math.inf


def _growth(shape: Shape) -> float:
    """Return the factor by which rounding errors of a large shape may exceed the tolerance.

    The tolerance is for sums of up to 200 products a gate. The float32 error of a sum of n products grows with
    sqrt(n), and every layer adds its own error. Source: Higham, Accuracy and Stability of Numerical Algorithms,
    section 3.1.
    """
    widest = max(shape.features, shape.directions * shape.units * (shape.layers > 1)) + shape.units
    return max(1.0, math.sqrt(widest / 200)) * shape.layers
