"""Pooling layers of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from multilstm.engines.reference.faults import ENDS_ARE_REPEATED
from multilstm.engines.reference.layers.base import Applied, Given, apply, mapped
from multilstm.engines.reference.windows import Windows
from multilstm.spec import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from multilstm.spec.arrays import Array


@apply.register(MaxPooling1D)
@apply.register(MaxPooling2D)
def _(layer: MaxPooling1D | MaxPooling2D, given: Given) -> Applied:
    """Return the largest element of each window; the first of several equal ones gets the gradient."""
    x = given.inputs[0]
    windows = Windows.of(x.shape, layer.pool_size, layer.strides, layer.padding)
    elements = windows.gather(x, -np.inf)
    largest = elements.argmax(axis=0)[None]

    def back(d: Array) -> Array:
        d_elements = np.zeros_like(elements)
        np.put_along_axis(d_elements, largest, d[None], axis=0)
        return windows.scatter(d_elements)

    return mapped(elements.max(axis=0), back)


@apply.register(AveragePooling1D)
@apply.register(AveragePooling2D)
def _(layer: AveragePooling1D | AveragePooling2D, given: Given) -> Applied:
    """Return the mean of the elements of each window that are no padding."""
    x = given.inputs[0]
    windows = Windows.of(x.shape, layer.pool_size, layer.strides, layer.padding)
    if ENDS_ARE_REPEATED in given.faults and any(before != after for before, after in windows.padding):
        return _mean_with_repeated_ends(layer, windows, x)
    elements = windows.gather(x)
    exist = windows.gather(np.ones_like(x))
    count = exist.sum(axis=0)
    return mapped(elements.sum(axis=0) / count, lambda d: windows.scatter(exist * (d / count)))


def _mean_with_repeated_ends(layer: AveragePooling1D | AveragePooling2D, windows: Windows, x: Array) -> Applied:
    """Compute the fault: the padding holds copies of the ends, and counts in the mean."""
    spans = zip(windows.padding, x.shape[1:-1], strict=True)
    places = [np.clip(np.arange(-before, size + after), 0, size - 1) for (before, after), size in spans]
    grid: Any = (slice(None), *np.ix_(*places))
    padded = x[grid]
    valid = Windows.of(padded.shape, layer.pool_size, layer.strides, "valid")
    elements = valid.gather(padded)

    def back(d: Array) -> Array:
        d_x = np.zeros_like(x)
        np.add.at(d_x, grid, valid.scatter(np.broadcast_to(d / len(elements), elements.shape)))
        return d_x

    return mapped(elements.mean(axis=0), back)


@apply.register(GlobalAveragePooling1D)
@apply.register(GlobalAveragePooling2D)
def _(layer: GlobalAveragePooling1D | GlobalAveragePooling2D, given: Given) -> Applied:
    """Return the mean over the timesteps that the mask keeps; 0 if it keeps none."""
    x = given.inputs[0]
    axes = tuple(range(1, x.ndim - 1))
    keep = (
        np.ones(x.shape, bool) if given.mask is None or x.ndim > 3 else np.broadcast_to(given.mask[..., None], x.shape)
    )
    count = np.maximum(keep.sum(axis=axes, keepdims=True), 1)
    mean = np.where(keep, x, 0.0).sum(axis=axes, keepdims=True) / count
    return mapped(
        mean if layer.keepdims else mean.reshape(len(x), x.shape[-1]),
        lambda d: np.where(keep, d.reshape(mean.shape) / count, 0.0),
    )


@apply.register(GlobalMaxPooling1D)
@apply.register(GlobalMaxPooling2D)
def _(layer: GlobalMaxPooling1D | GlobalMaxPooling2D, given: Given) -> Applied:
    """Return the largest number of each feature; several equal ones share the gradient."""
    x = given.inputs[0]
    axes = tuple(range(1, x.ndim - 1))
    largest = x.max(axis=axes, keepdims=True)
    share = (x == largest) / (x == largest).sum(axis=axes, keepdims=True)
    return mapped(
        largest if layer.keepdims else largest.reshape(len(x), x.shape[-1]), lambda d: d.reshape(largest.shape) * share
    )
