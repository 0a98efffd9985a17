"""Layers that only move numbers."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's custom

from multilstm.engines.torch_lstm_layers.base import Given, apply
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


@apply.register
def _(layer: Flatten, given: Given) -> Any:
    return given.input[..., None].flatten(1)


@apply.register
def _(layer: Reshape, given: Given) -> Any:
    ((batch, *sizes),) = layer.output_shapes(tuple(given.input.shape))
    return given.input.reshape(batch, *sizes)


@apply.register
def _(layer: Permute, given: Given) -> Any:
    return given.input.permute(0, *layer.dims)


@apply.register
def _(layer: RepeatVector, given: Given) -> Any:
    return given.input[:, None].expand(-1, layer.n, -1)


@apply.register
def _(layer: ZeroPadding1D, given: Given) -> Any:
    return F.pad(given.input, (0, 0, *layer.padding))


@apply.register
def _(layer: Cropping1D, given: Given) -> Any:
    start, end = layer.cropping
    return given.input[:, start : given.input.shape[1] - end]


@apply.register
def _(layer: UpSampling1D, given: Given) -> Any:
    return given.input.repeat_interleave(layer.size, dim=1)


@apply.register
def _(layer: ZeroPadding2D, given: Given) -> Any:
    rows, columns = layer.padding
    return F.pad(given.input, (0, 0, *columns, *rows))  # PyTorch takes the last axis first


@apply.register
def _(layer: GetItem, given: Given) -> Any:
    return given.input[layer.index]
