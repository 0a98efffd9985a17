"""Layers that merge several tensors."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from multilstm.spec.optimizers import EPSILON


@apply.register
def _(layer: Add, given: Given) -> Any:
    return functools.reduce(operator.add, given.inputs)


@apply.register
def _(layer: Subtract, given: Given) -> Any:
    return given.inputs[0] - given.inputs[1]


@apply.register
def _(layer: Average, given: Given) -> Any:
    return functools.reduce(operator.add, given.inputs) / len(given.inputs)


@apply.register
def _(layer: Multiply, given: Given) -> Any:
    """Multiply all inputs, a masked timestep taken as 1; the product is 0 where every input is masked."""
    pairs = zip(given.inputs, given.masks, strict=True)
    product = functools.reduce(
        operator.mul, [x if mask is None else torch.where(mask[..., None], x, 1.0) for x, mask in pairs]
    )
    if any(mask is None for mask in given.masks):
        return product
    return torch.where(functools.reduce(operator.or_, given.masks)[..., None], product, 0.0)


@apply.register
def _(layer: Maximum, given: Given) -> Any:
    return _extreme(given, torch.maximum)


@apply.register
def _(layer: Minimum, given: Given) -> Any:
    return _extreme(given, torch.minimum)


def _extreme(given: Given, merge: Callable[[Any, Any], Any]) -> Any:
    """Merge the inputs one by one; where exactly one of two is masked, the other is taken."""
    (output, *others), (keep, *masks) = given.inputs, given.masks
    for x, mask in zip(others, masks, strict=True):
        if mask is not None:
            x = torch.where(mask[..., None], x, output)
        if keep is not None:
            output = torch.where(keep[..., None], output, x)
        keep = None if keep is None or mask is None else keep | mask
        output = merge(output, x)
    return output


@apply.register
def _(layer: Concatenate, given: Given) -> Any:
    return torch.cat(list(given.inputs), dim=layer.axis)


@apply.register
def _(layer: Dot, given: Given) -> Any:
    """Multiply `[batch, any, summed]` by `[batch, summed, any]`, into which the inputs are brought."""
    axes = layer.axes_of(tuple(given.inputs[0].shape), tuple(given.inputs[1].shape))
    tensors = [_unit(x, axis) if layer.normalize else x for x, axis in zip(given.inputs, axes, strict=True)]
    first, other = tensors[0].movedim(axes[0], -1), tensors[1].movedim(axes[1], 1)
    rows = first.reshape(len(first), math.prod(first.shape[1:-1]), first.shape[-1])
    columns = other.reshape(*other.shape[:2], math.prod(other.shape[2:]))
    return (rows @ columns).reshape(len(first), *(tuple(first.shape[1:-1] + other.shape[2:]) or (1,)))


def _unit(x: Any, axis: int) -> Any:
    """Return an array divided by its length along an axis, which counts as at least 1e-7."""
    return x * torch.rsqrt(torch.clamp((x * x).sum(axis, keepdim=True), min=EPSILON**2))
