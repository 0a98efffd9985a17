"""TimeDistributed: the timesteps are folded into the batch, and unfolded again."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from multilstm.scan.layers.base import Given, apply
from multilstm.spec import Dense, TimeDistributed


@apply.register
def _(layer: TimeDistributed, given: Given) -> jax.Array:
    """Apply the layer inside to `[batch * timesteps, ...]`, and return `[batch, timesteps, ...]`."""
    if isinstance(layer.layer, Dense):  # it acts on the last axis of any array
        return apply(layer.layer, given)
    batch, timesteps, *_ = given.input.shape
    if given.training and layer.layer.statistics:  # of one timestep after the other, as in Keras 3
        return jnp.stack([_step(layer, given, time) for time in range(timesteps)], axis=1)

    def folded(array: jax.Array) -> jax.Array:
        return array.reshape(batch * timesteps, *array.shape[2:])

    dropout = {name: folded(mask) for name, mask in given.dropout.items() if name == given.name}
    inner = apply(layer.layer, given._replace(inputs=[folded(given.input)], masks=[None], dropout=dropout))
    return inner.reshape(batch, timesteps, *inner.shape[1:])


def _step(layer: TimeDistributed, given: Given, time: int) -> jax.Array:
    masks = [None if mask is None else mask[:, time] for mask in given.masks]
    weights = {**given.weights, **given.statistics}
    return apply(layer.layer, given._replace(inputs=[given.input[:, time]], masks=masks, weights=weights))
