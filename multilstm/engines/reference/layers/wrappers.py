"""TimeDistributed of the reference: the timesteps are folded into the batch, and unfolded again."""

from __future__ import annotations

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

    def backward(gradients: list[Maybe]) -> Gradients:
        back = inner.backward([_folded(present(gradients[0]))])
        return Gradients([unfolded(present(back.inputs[0]))], back.weights)

    return Applied([unfolded(inner.outputs[0])], backward)


def _folded(array: Array) -> Array:
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
