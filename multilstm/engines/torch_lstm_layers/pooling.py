"""Pooling over windows, and over all timesteps."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's custom

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.engines.torch_lstm_layers.windows import channels_first, channels_last, padded
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

_MAXIMA, _MEANS = {1: F.max_pool1d, 2: F.max_pool2d}, {1: F.avg_pool1d, 2: F.avg_pool2d}


@apply.register(MaxPooling1D)
@apply.register(MaxPooling2D)
def _(layer: MaxPooling1D | MaxPooling2D, given: Given) -> Any:
    window, ones = layer.pool_size, (1,) * len(layer.pool_size)
    x = padded(channels_first(given.input), window, layer.strides, layer.padding, ones, -torch.inf)
    return channels_last(_MAXIMA[len(window)](x, window, layer.strides))


@apply.register(AveragePooling1D)
@apply.register(AveragePooling2D)
def _(layer: AveragePooling1D | AveragePooling2D, given: Given) -> Any:
    """Return the mean of the elements of each window that are no padding."""
    window, ones = layer.pool_size, (1,) * len(layer.pool_size)

    def mean(x: Any) -> Any:
        return _MEANS[len(window)](padded(x, window, layer.strides, layer.padding, ones), window, layer.strides)

    x = channels_first(given.input)
    return channels_last(mean(x) / mean(torch.ones_like(x)))


@apply.register(GlobalAveragePooling1D)
@apply.register(GlobalAveragePooling2D)
def _(layer: GlobalAveragePooling1D | GlobalAveragePooling2D, given: Given) -> Any:
    """Return the mean over the timesteps that the mask keeps; 0 if it keeps none."""
    x, mask = given.input, given.masks[0]
    if mask is None or x.ndim > 3:
        return x.mean(tuple(range(1, x.ndim - 1)), keepdim=layer.keepdims)
    keep = mask[..., None]
    return torch.where(keep, x, 0.0).sum(1, keepdim=layer.keepdims) / keep.sum(1, keepdim=layer.keepdims).clamp(min=1)


@apply.register(GlobalMaxPooling1D)
@apply.register(GlobalMaxPooling2D)
def _(layer: GlobalMaxPooling1D | GlobalMaxPooling2D, given: Given) -> Any:
    return given.input.amax(tuple(range(1, given.input.ndim - 1)), keepdim=layer.keepdims)
