"""Layers that act on every position by itself."""

from __future__ import annotations

from typing import Any

import torch

from multilstm.engines.torch_lstm_layers.activation import ACTIVATIONS
from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import (
    Activation,
    ActivityRegularization,
    Dense,
    Dropout,
    Embedding,
    Masking,
    Rescaling,
    SpatialDropout1D,
    SpatialDropout2D,
)


@apply.register
def _(layer: Embedding, given: Given) -> Any:
    return given.weight("embeddings")[given.input.long()]


@apply.register
def _(layer: Dense, given: Given) -> Any:
    z = given.input @ given.weight("kernel")
    if layer.use_bias:
        z = z + given.weight("bias")
    return ACTIVATIONS[str(layer.activation)](z)


@apply.register
def _(layer: Masking, given: Given) -> Any:
    x = given.input
    return torch.where((x != layer.mask_value).any(-1, keepdim=True), x, 0.0)


@apply.register(Dropout)
@apply.register(SpatialDropout1D)
@apply.register(SpatialDropout2D)
def _(layer: Dropout | SpatialDropout1D | SpatialDropout2D, given: Given) -> Any:
    return given.input * given.dropout[given.name] if given.name in given.dropout else given.input


@apply.register
def _(layer: Activation, given: Given) -> Any:
    return ACTIVATIONS[layer.activation](given.input)


@apply.register
def _(layer: Rescaling, given: Given) -> Any:
    return given.input * given.input.new_tensor(layer.scale) + given.input.new_tensor(layer.offset)


@apply.register
def _(layer: ActivityRegularization, given: Given) -> Any:
    return given.input
