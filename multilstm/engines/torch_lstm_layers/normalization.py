"""Normalizations."""

from __future__ import annotations

from typing import Any

import torch

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import BatchNormalization, LayerNormalization, Normalization, UnitNormalization
from multilstm.spec.optimizers import EPSILON


@apply.register
def _(layer: LayerNormalization, given: Given) -> Any:
    x = given.input
    axes = layer.axes(tuple(x.shape))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return _scaled(layer, given, (x - mean) * torch.rsqrt(variance + layer.epsilon), axes)


@apply.register
def _(layer: BatchNormalization, given: Given) -> Any:
    """Normalize by the moving statistics; in training by the batch, whose statistics move them."""
    x = given.input
    moving = [given.weight(name) for name in layer.statistics]
    mean, variance = moving
    if given.training and layer.trainable:
        mean, variance = _moments(x, given.masks[0])
        for name, old, new in zip(layer.statistics, moving, (mean, variance), strict=True):
            kept = old * layer.momentum + new * (1.0 - layer.momentum)
            given.statistics[f"{given.name}/{name}"] = kept.detach()
    return _scaled(layer, given, (x - mean) * torch.rsqrt(variance + layer.epsilon), (x.ndim - 1,))


def _moments(x: Any, mask: Any) -> tuple[Any, Any]:
    """Return mean and variance of each feature, over the timesteps that the mask keeps."""
    axes = tuple(range(x.ndim - 1))
    if mask is None:
        variance, mean = torch.var_mean(x, axes, correction=0)
        return mean, variance
    keep = mask[..., None]
    count = keep.sum(axes).to(x.dtype) + EPSILON  # an integer plus a number would be float32
    mean = torch.where(keep, x, 0.0).sum(axes) / count
    return mean, torch.where(keep, (x - mean) ** 2, 0.0).sum(axes) / count


def _scaled(layer: LayerNormalization | BatchNormalization, given: Given, x: Any, axes: tuple[int, ...]) -> Any:
    """Return `gamma * x + beta`, with weights along `axes`."""
    sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    if layer.scale:
        x = x * given.weight("gamma").reshape(sizes)
    if layer.center:
        x = x + given.weight("beta").reshape(sizes)
    return x


@apply.register
def _(layer: UnitNormalization, given: Given) -> Any:
    x = given.input
    squares = (x * x).sum(layer.axes(tuple(x.shape)), keepdim=True)
    return x * torch.rsqrt(squares.clamp(min=1e-24))


@apply.register
def _(layer: Normalization, given: Given) -> Any:
    x = given.input
    mean, variance = (torch.as_tensor(array).to(x) for array in layer.moments(tuple(x.shape), given.weight))
    deviation = torch.sqrt(variance).clamp(min=EPSILON)
    return x * deviation + mean if layer.invert else (x - mean) / deviation
