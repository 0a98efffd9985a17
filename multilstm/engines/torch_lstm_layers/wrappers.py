"""TimeDistributed: the timesteps are folded into the batch, and unfolded again."""

from __future__ import annotations

from typing import Any

import torch

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.errors import UnsupportedError
from multilstm.spec import TimeDistributed


@apply.register
def _(layer: TimeDistributed, given: Given) -> Any:
    """Apply the layer inside to `[batch * timesteps, ...]`, and return `[batch, timesteps, ...]`."""
    x = given.input
    if layer.layer.recurrent or layer.inner_model:
        raise UnsupportedError(
            f"torch-lstm: it does not execute a {layer.layer.class_name} inside of TimeDistributed {layer.name!r}; "
            f"leave the engine torch-lstm out"
        )
    if given.training and layer.layer.statistics:  # of one timestep after the other, as in Keras 3
        return torch.stack([_step(layer, given, time) for time in range(x.shape[1])], dim=1)
    dropout = {name: factor.flatten(0, 1) for name, factor in given.dropout.items() if name == given.name}
    inner = apply(layer.layer, given._replace(inputs=[x.flatten(0, 1)], masks=[None], dropout=dropout))
    return inner.unflatten(0, x.shape[:2])


def _step(layer: TimeDistributed, given: Given, time: int) -> Any:
    masks = [None if mask is None else mask[:, time] for mask in given.masks]
    weights = {**given.weights, **given.statistics}
    return apply(layer.layer, given._replace(inputs=[given.input[:, time]], masks=masks, weights=weights))
