"""Layers of the reference that merge several tensors."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence

import numpy as np

from multilstm.engines.reference.layers.base import Applied, Given, Gradients, Maybe, apply, present
from multilstm.spec import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import EPSILON


@apply.register
def _(layer: Add, given: Given) -> Applied:
    return _merged(given.inputs, functools.reduce(operator.add, given.inputs), lambda d: [d] * len(given.inputs))


@apply.register
def _(layer: Subtract, given: Given) -> Applied:
    return _merged(given.inputs, given.inputs[0] - given.inputs[1], lambda d: [d, -d])


@apply.register
def _(layer: Average, given: Given) -> Applied:
    share = 1.0 / len(given.inputs)
    total = functools.reduce(operator.add, given.inputs)
    return _merged(given.inputs, total / len(given.inputs), lambda d: [d * share] * len(given.inputs))


@apply.register
def _(layer: Multiply, given: Given) -> Applied:
    """Multiply all inputs, a masked timestep taken as 1; the product is 0 where every input is masked."""
    keeps = [_keep(mask, x) for mask, x in zip(given.masks, given.inputs, strict=True)]
    factors = [x if keep is None else np.where(keep, x, 1.0) for keep, x in zip(keeps, given.inputs, strict=True)]
    counts = None if any(keep is None for keep in keeps) else functools.reduce(operator.or_, keeps)
    product = functools.reduce(operator.mul, factors)

    def back(d: Array) -> list[Array]:
        d = d if counts is None else np.where(counts, d, 0.0)
        d_factors = []
        for place, keep in enumerate(keeps):
            others = [factor for index, factor in enumerate(factors) if index != place]
            d_factor = d * functools.reduce(operator.mul, others)
            d_factors.append(d_factor if keep is None else np.where(keep, d_factor, 0.0))
        return d_factors

    return _merged(given.inputs, product if counts is None else np.where(counts, product, 0.0), back)


@apply.register
def _(layer: Maximum, given: Given) -> Applied:
    return _extreme(given, np.greater)


@apply.register
def _(layer: Minimum, given: Given) -> Applied:
    return _extreme(given, np.less)


def _extreme(given: Given, wins: Callable[[Array, Array], Array]) -> Applied:
    """Merge the inputs one by one into a running result, as Keras does.

    Where exactly one of the two is masked, the other is taken. Each takes half of the gradient where both are equal.
    """
    (output, *others), (first, *masks) = given.inputs, given.masks
    keep = _keep(first, output)
    shares: list[tuple[Array, Array]] = []  # of the running result and of the next input, in the gradient of the merge
    for x, mask in zip(others, masks, strict=True):
        kept = _keep(mask, x)
        share = np.where(wins(output, x), 1.0, np.where(output == x, 0.5, 0.0))
        merged = np.where(wins(output, x), output, x)
        if kept is not None:
            merged, share = np.where(kept, merged, output), np.where(kept, share, 1.0)
        if keep is not None:
            # Keras replaces a masked input by the running result first, and a masked result by that input then.
            share = np.where(keep, share, 0.0 if kept is None else np.where(kept, 0.0, 1.0))
            merged = np.where(keep, merged, x if kept is None else np.where(kept, x, output))
        shares.append((share, 1.0 - share))
        keep = None if keep is None or kept is None else keep | kept
        output = merged

    def back(d: Array) -> list[Array]:
        d_inputs: list[Array] = []
        for of_result, of_input in reversed(shares):
            d_inputs.insert(0, d * of_input)
            d = d * of_result
        return [d, *d_inputs]

    return _merged(given.inputs, output, back)


def _keep(mask: Maybe, x: Array) -> Maybe:
    """Return a mask `[batch, timesteps]` with an axis of features, or None."""
    return None if mask is None else np.broadcast_to(mask[..., None], x.shape)


def _merged(inputs: Sequence[Array], output: Array, back: Callable[[Array], list[Array]]) -> Applied:
    """Return a call whose inputs may have sizes of 1 that were repeated; `back` maps to gradients of full size."""

    def backward(gradients: list[Maybe]) -> Gradients:
        d_inputs = back(present(gradients[0]))
        return Gradients([_summed(d, x.shape) for d, x in zip(d_inputs, inputs, strict=True)])

    return Applied([output], backward)


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Return the gradient of an array of `shape` that was repeated along its axes of size 1."""
    repeated = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1)
    return gradient.sum(axis=repeated, keepdims=True) if repeated else gradient


@apply.register
def _(layer: Concatenate, given: Given) -> Applied:
    ends = np.cumsum([array.shape[layer.axis] for array in given.inputs])[:-1]
    return Applied(
        [np.concatenate(given.inputs, axis=layer.axis)],
        lambda gradients: Gradients(list(np.split(present(gradients[0]), ends, axis=layer.axis))),
    )


@apply.register
def _(layer: Dot, given: Given) -> Applied:
    """Multiply `[batch, any, summed]` by `[batch, summed, any]`, into which the inputs are brought."""
    axes = layer.axes_of(given.inputs[0].shape, given.inputs[1].shape)
    tensors, backs = zip(
        *(_unit(x, axis, layer.normalize) for x, axis in zip(given.inputs, axes, strict=True)), strict=True
    )
    first, other = np.moveaxis(tensors[0], axes[0], -1), np.moveaxis(tensors[1], axes[1], 1)
    rows = first.reshape(len(first), math.prod(first.shape[1:-1]), first.shape[-1])
    columns = other.reshape(*other.shape[:2], math.prod(other.shape[2:]))
    output = (rows @ columns).reshape(len(first), *(first.shape[1:-1] + other.shape[2:] or (1,)))

    def backward(gradients: list[Maybe]) -> Gradients:
        d = present(gradients[0]).reshape(len(rows), rows.shape[1], columns.shape[2])
        d_first = np.moveaxis((d @ columns.swapaxes(1, 2)).reshape(first.shape), -1, axes[0])
        d_other = np.moveaxis((rows.swapaxes(1, 2) @ d).reshape(other.shape), 1, axes[1])
        return Gradients([back(gradient) for back, gradient in zip(backs, (d_first, d_other), strict=True)])

    return Applied([output], backward)


def _unit(x: Array, axis: int, normalize: bool) -> tuple[Array, Callable[[Array], Array]]:
    """Return an array divided by its length along an axis, which counts as at least 1e-7, and the way back."""
    if not normalize:
        return x, lambda d: d
    length = np.sqrt((x**2).sum(axis=axis, keepdims=True))
    unit = x / np.maximum(length, EPSILON)

    def back(d: Array) -> Array:
        along = np.where(length > EPSILON, unit * (d * unit).sum(axis=axis, keepdims=True), 0.0)
        gradient: Array = (d - along) / np.maximum(length, EPSILON)
        return gradient

    return unit, back
