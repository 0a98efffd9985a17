"""Gradients of the penalties that regularizers add to the loss, by hand, in NumPy float64."""

from __future__ import annotations

import numpy as np

from multilstm.spec import L1, L1L2, L2, OrthogonalRegularizer, Regularizer
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import EPSILON


def penalty_gradient(regularizer: Regularizer, weight: Array) -> Array:
    """Return the gradient of `regularizer(weight)`, of the weight's shape.

        L1: l1 * sign(weight);    L2: 2 * l2 * weight;    L1L2: their sum

    The derivative of |x| at 0 is 0. For OrthogonalRegularizer, with unit vectors u of the
    n rows (or columns) v, the penalty is `factor / (n * (n - 1))` times the sum of |u_i . u_j| over all i != j, so that

        d_u_i = 2 * factor / (n * (n - 1)) * sum over j != i of sign(u_i . u_j) * u_j
        d_v_i = (d_u_i - (d_u_i . u_i) * u_i) / |v_i|

    and a vector shorter than 1e-7 is divided by that instead, a number.
    """
    gradient: Array
    match regularizer:
        case L1(l1):
            gradient = l1 * np.sign(weight)
        case L2(l2):
            gradient = 2.0 * l2 * weight
        case L1L2(l1, l2):
            gradient = l1 * np.sign(weight) + 2.0 * l2 * weight
        case OrthogonalRegularizer(factor, "rows"):
            gradient = _orthogonal(factor, weight)
        case OrthogonalRegularizer(factor, _):
            gradient = _orthogonal(factor, weight.T).T
        case _:
            raise NotImplementedError(type(regularizer))
    return gradient


def _orthogonal(factor: float, vectors: Array) -> Array:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(norms, EPSILON)
    signs = np.sign(unit @ unit.T)
    np.fill_diagonal(signs, 0.0)
    d_unit = 2.0 * factor / (len(vectors) * (len(vectors) - 1)) * signs @ unit
    radial = np.where(norms > EPSILON, (d_unit * unit).sum(axis=1, keepdims=True), 0.0)
    gradient: Array = (d_unit - radial * unit) / np.maximum(norms, EPSILON)
    return gradient
