"""Noise: in training it is given, by the name of the layer; else each layer is the identity."""

from __future__ import annotations

from typing import Any

import torch

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import AlphaDropout, GaussianDropout, GaussianNoise


@apply.register
def _(layer: GaussianNoise, given: Given) -> Any:
    return given.input + given.dropout[given.name] if given.name in given.dropout else given.input


@apply.register
def _(layer: GaussianDropout, given: Given) -> Any:
    return given.input * given.dropout[given.name] if given.name in given.dropout else given.input


@apply.register
def _(layer: AlphaDropout, given: Given) -> Any:
    """Saturate where the mask is 0, then scale and shift."""
    if given.name not in given.dropout:
        return given.input
    kept = given.dropout[given.name] != 0
    return layer.scale * torch.where(kept, given.input, layer.SATURATED) + layer.shift
