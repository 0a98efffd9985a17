"""Activations of the reference with arguments. At a kink, the derivative is the one from the left."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.layers.base import (
    Applied,
    Given,
    Gradients,
    Maybe,
    apply,
    mapped,
    present,
    reached_rows,
)
from multilstm.spec import ELU, LeakyReLU, PReLU, ReLU, Softmax
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


@apply.register
def _(layer: PReLU, given: Given) -> Applied:
    """Return `max(x, 0) + alpha * min(x, 0)`, whose derivative at 0 is 0."""
    x, alpha = given.inputs[0], given.weights["alpha"]
    below = np.minimum(x, 0.0)
    shared = (0, *(axis + 1 for axis, size in enumerate(alpha.shape) if size == 1))

    def backward(gradients: list[Maybe]) -> Gradients:
        d = present(gradients[0])
        reached = reached_rows(d)
        d_x = np.where(reached, d * np.where(x > 0, 1.0, np.where(x < 0, alpha, 0.0)), 0.0)
        d_alpha = np.where(reached, d * below, 0.0).sum(axis=shared)
        return Gradients([d_x], {"alpha": d_alpha.reshape(alpha.shape)})

    return Applied([np.maximum(x, 0.0) + alpha * below], backward)
