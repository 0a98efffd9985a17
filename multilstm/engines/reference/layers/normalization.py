"""Normalizations of the reference."""

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
from multilstm.spec import BatchNormalization, LayerNormalization, Normalization, UnitNormalization
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import EPSILON

LEAST = 1e-12  # the least length by which UnitNormalization divides


@apply.register
def _(layer: LayerNormalization, given: Given) -> Applied:
    x = given.inputs[0]
    axes = layer.axes(x.shape)
    shares = np.full_like(x, 1.0 / np.prod([x.shape[axis] for axis in axes]))
    return _normalized(given, layer.epsilon, shares, axes, axes)


@apply.register
def _(layer: BatchNormalization, given: Given) -> Applied:
    """Normalize by the moving statistics; in training by the batch, whose statistics move them.

    As in Keras, a mask of n timesteps divides by n + 1e-7.
    """
    x = given.inputs[0]
    axes, last = tuple(range(x.ndim - 1)), (x.ndim - 1,)
    if not given.training or not layer.trainable:
        moments = given.weights["moving_mean"], given.weights["moving_variance"]
        return _normalized(given, layer.epsilon, None, axes, last, moments)
    keep = np.ones(x.shape) if given.mask is None else np.broadcast_to(given.mask[..., None], x.shape).astype(float)
    shares = keep / (keep.sum(axis=axes, keepdims=True) + (0.0 if given.mask is None else EPSILON))
    applied = _normalized(given, layer.epsilon, shares, axes, last)
    batch = _moments(x, shares, axes)
    for name, moment in zip(layer.statistics, batch, strict=True):
        moved = given.weights[name] * layer.momentum + moment.reshape(-1) * (1.0 - layer.momentum)
        applied.statistics[name] = moved
    return applied


def _moments(x: Array, shares: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the mean and the variance along axes, in which each element has its share; one of share 0 may be NaN."""
    x = np.where(shares > 0, x, 0.0)
    mean = (shares * x).sum(axis=axes, keepdims=True)
    return mean, (shares * (x - mean) ** 2).sum(axis=axes, keepdims=True)


def _normalized(
    given: Given,
    epsilon: float,
    shares: Maybe,
    axes: tuple[int, ...],
    weighted: tuple[int, ...],
    moments: tuple[Array, Array] | None = None,
) -> Applied:
    """Return the call of a normalization `gamma * (x - mean) * inverse + beta`.

    Args:
        given: the call.
        epsilon: added to the variance.
        shares: of each element in mean and variance; None with given moments, which have no gradient.
        axes: along which mean and variance are taken.
        weighted: the axes of `gamma` and `beta`.
        moments: the mean and the variance; None: those of the input.
    """
    x = given.inputs[0]
    mean, variance = _moments(x, shares, axes) if moments is None and shares is not None else moments or (x, x)
    inverse = 1.0 / np.sqrt(variance + epsilon)
    scaled = (x - mean) * inverse
    sizes = [size if axis in weighted else 1 for axis, size in enumerate(x.shape)]
    gamma = given.weights["gamma"].reshape(sizes) if "gamma" in given.weights else 1.0
    beta = given.weights["beta"].reshape(sizes) if "beta" in given.weights else 0.0
    others = tuple(axis for axis in range(x.ndim) if axis not in weighted)

    def backward(gradients: list[Maybe]) -> Gradients:
        d = present(gradients[0])
        d_scaled = d * gamma
        d_x = d_scaled * inverse
        if moments is None and shares is not None:
            difference = np.where(shares > 0, x - mean, 0.0)
            d_mean = -(d_scaled * inverse).sum(axis=axes, keepdims=True)
            reached = np.where(reached_rows(d), d_scaled * (x - mean), 0.0)
            d_variance = -0.5 * (reached * inverse**3).sum(axis=axes, keepdims=True)
            d_mean = d_mean - 2.0 * d_variance * (shares * difference).sum(axis=axes, keepdims=True)
            d_x = d_x + shares * (d_mean + 2.0 * d_variance * difference)
        every = {"gamma": np.where(reached_rows(d), d * scaled, 0.0), "beta": d}
        d_weights = {
            name: term.sum(axis=others).reshape(given.weights[name].shape)
            for name, term in every.items()
            if name in given.weights
        }
        return Gradients([d_x], d_weights)

    return Applied([gamma * scaled + beta], backward)


@apply.register
def _(layer: UnitNormalization, given: Given) -> Applied:
    x, axes = given.inputs[0], layer.axes(given.inputs[0].shape)
    length = np.sqrt((x**2).sum(axis=axes, keepdims=True))
    unit = x / np.maximum(length, LEAST)

    def back(d: Array) -> Array:
        along = np.where(length > LEAST, unit * (d * unit).sum(axis=axes, keepdims=True), 0.0)
        d_x: Array = np.where(reached_rows(d), (d - along) / np.maximum(length, LEAST), 0.0)
        return d_x

    return mapped(unit, back)


@apply.register
def _(layer: Normalization, given: Given) -> Applied:
    x = given.inputs[0]
    mean, variance = layer.moments(x.shape, lambda name: given.weights[name])
    deviation = np.maximum(np.sqrt(variance), EPSILON)
    if layer.invert:
        return mapped(x * deviation + mean, lambda d: d * deviation)
    return mapped((x - mean) / deviation, lambda d: d / deviation)
