"""Activations of the reference with arguments. At a kink, the derivative is the one from the left."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.layers.base import Applied, Given, apply, mapped, reached_rows
from multilstm.spec import ELU, LeakyReLU, ReLU, Softmax
from multilstm.spec.arrays import Array


def _of_slope(x: Array, output: Array, slope: Array) -> Applied:
    """Return the call of a function of each element alone, with its derivative; NaN passes no gradient of zero on."""
    return mapped(output, lambda d: np.where(reached_rows(d), d * slope, 0.0))


@apply.register
def _(layer: ReLU, given: Given) -> Applied:
    x, limit = given.inputs[0], np.inf if layer.max_value is None else layer.max_value
    above = x > layer.threshold
    output = np.where(above, np.minimum(x, limit), layer.negative_slope * (x - layer.threshold))
    return _of_slope(x, output, np.where(above, x < limit, layer.negative_slope))


@apply.register
def _(layer: LeakyReLU, given: Given) -> Applied:
    x = given.inputs[0]
    slope = np.where(x > 0, 1.0, layer.negative_slope)
    return _of_slope(x, x * slope, slope)


@apply.register
def _(layer: ELU, given: Given) -> Applied:
    x = given.inputs[0]
    below = np.minimum(x, 0.0)
    output = np.where(x > 0, x, layer.alpha * np.expm1(below))
    return _of_slope(x, output, np.where(x > 0, 1.0, layer.alpha * np.exp(below)))


@apply.register
def _(layer: Softmax, given: Given) -> Applied:
    x, axis = given.inputs[0], layer.axis
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    output = e / e.sum(axis=axis, keepdims=True)
    return mapped(output, lambda d: output * (d - (d * output).sum(axis=axis, keepdims=True)))
