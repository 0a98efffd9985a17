"""TimeDistributed of the reference: the timesteps are folded into the batch, and unfolded again."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.faults import TIMESTEPS_ARE_CUT
from multilstm.engines.reference.layers.base import Applied, Given, Gradients, Maybe, apply, present
from multilstm.spec import TimeDistributed
from multilstm.spec.arrays import Array


@apply.register
def _(layer: TimeDistributed, given: Given) -> Applied:
    """Apply the layer inside to `[batch * timesteps, ...]`, and return `[batch, timesteps, ...]`."""
    x = given.inputs[0]
    dropout = {str(layer.layer.name): _folded(factor) for factor in given.dropout.values()}
    inner = apply(layer.layer, Given([_folded(x)], [None], given.weights, dropout=dropout, faults=given.faults))

    def unfolded(array: Array) -> Array:
        return array.reshape(*x.shape[:2], *array.shape[1:])

    output = unfolded(inner.outputs[0])
    kept = len(x) if TIMESTEPS_ARE_CUT in given.faults else x.shape[1]

    def backward(gradients: list[Maybe]) -> Gradients:
        d_output = np.zeros_like(output)
        d_output[:, :kept] = present(gradients[0])
        back = inner.backward([_folded(d_output)])
        return Gradients([unfolded(present(back.inputs[0]))], back.weights)

    return Applied([output[:, :kept]], backward)


def _folded(array: Array) -> Array:
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
