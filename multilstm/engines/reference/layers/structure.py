"""Layers of the reference that only move numbers."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.layers.base import Applied, Given, apply, mapped
from multilstm.spec import (
    Cropping1D,
    Flatten,
    GetItem,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.arrays import Array


@apply.register
def _(layer: Flatten, given: Given) -> Applied:
    x = given.inputs[0]
    return mapped(x.reshape(len(x), int(np.prod(x.shape[1:]))), lambda d: d.reshape(x.shape))


@apply.register
def _(layer: Reshape, given: Given) -> Applied:
    x = given.inputs[0]
    ((_, *sizes),) = layer.output_shapes(x.shape)
    return mapped(x.reshape(len(x), *sizes), lambda d: d.reshape(x.shape))


@apply.register
def _(layer: Permute, given: Given) -> Applied:
    axes = (0, *layer.dims)
    return mapped(given.inputs[0].transpose(axes), lambda d: d.transpose(np.argsort(axes)))


@apply.register
def _(layer: RepeatVector, given: Given) -> Applied:
    """Map `[batch, features]` to `[batch, n, features]`."""
    return mapped(np.repeat(given.inputs[0][:, None], layer.n, axis=1), lambda d: d.sum(axis=1))


@apply.register
def _(layer: ZeroPadding1D, given: Given) -> Applied:
    x, (before, after) = given.inputs[0], layer.padding
    return mapped(np.pad(x, ((0, 0), (before, after), (0, 0))), lambda d: d[:, before : before + x.shape[1]])


@apply.register
def _(layer: Cropping1D, given: Given) -> Applied:
    x, (start, end) = given.inputs[0], layer.cropping
    kept = x[:, start : x.shape[1] - end]
    return mapped(kept, lambda d: np.pad(d, ((0, 0), (start, end), (0, 0))))


@apply.register
def _(layer: UpSampling1D, given: Given) -> Applied:
    """Repeat every timestep; the gradient of a timestep is the sum over its copies."""
    x = given.inputs[0]
    return mapped(
        np.repeat(x, layer.size, axis=1),
        lambda d: d.reshape(len(x), x.shape[1], layer.size, x.shape[2]).sum(axis=2),
    )


@apply.register
def _(layer: ZeroPadding2D, given: Given) -> Applied:
    x, ((above, _), (left, _)) = given.inputs[0], layer.padding
    rows, columns = x.shape[1:3]
    padded = np.pad(x, ((0, 0), *layer.padding, (0, 0)))
    return mapped(padded, lambda d: d[:, above : above + rows, left : left + columns])


@apply.register
def _(layer: GetItem, given: Given) -> Applied:
    """Take a part; the gradient of all other numbers is zero."""
    x = given.inputs[0]

    def back(d: Array) -> Array:
        gradient = np.zeros(x.shape, d.dtype)
        gradient[layer.index] = d
        return gradient

    return mapped(x[layer.index], back)
