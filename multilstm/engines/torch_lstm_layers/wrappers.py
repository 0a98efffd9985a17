"""TimeDistributed: the timesteps are folded into the batch, and unfolded again."""

from __future__ import annotations

from typing import Any

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import TimeDistributed


@apply.register
def _(layer: TimeDistributed, given: Given) -> Any:
    """Apply the layer inside to `[batch * timesteps, ...]`, and return `[batch, timesteps, ...]`."""
    x = given.input
    dropout = {name: factor.flatten(0, 1) for name, factor in given.dropout.items() if name == given.name}
    inner = apply(layer.layer, given._replace(inputs=[x.flatten(0, 1)], masks=[None], dropout=dropout))
    return inner.unflatten(0, x.shape[:2])
