"""TimeDistributed: the timesteps are folded into the batch, and unfolded again."""

from __future__ import annotations

import jax

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import Dense, TimeDistributed


@apply.register
def _(layer: TimeDistributed, given: Given) -> jax.Array:
    """Apply the layer inside to `[batch * timesteps, ...]`, and return `[batch, timesteps, ...]`."""
    if isinstance(layer.layer, Dense):  # it acts on the last axis of any array
        return apply(layer.layer, given)
    batch, timesteps, *_ = given.input.shape

    def folded(array: jax.Array) -> jax.Array:
        return array.reshape(batch * timesteps, *array.shape[2:])

    dropout = {name: folded(mask) for name, mask in given.dropout.items() if name == given.name}
    inner = apply(layer.layer, given._replace(inputs=[folded(given.input)], masks=[None], dropout=dropout))
    return inner.reshape(batch, timesteps, *inner.shape[1:])
