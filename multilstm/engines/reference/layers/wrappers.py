"""TimeDistributed of the reference: the timesteps are folded into the batch, and unfolded again.

In training, a BatchNormalization inside takes the statistics of one timestep after the other, as in Keras 3.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from multilstm.engines.reference.faults import TIMESTEPS_ARE_CUT
from multilstm.engines.reference.layers.base import Applied, Given, Gradients, Maybe, apply, present
from multilstm.spec import TimeDistributed
from multilstm.spec.arrays import Array


@apply.register
def _(layer: TimeDistributed, given: Given) -> Applied:
    """Apply the layer inside to `[batch * timesteps, ...]`, and return `[batch, timesteps, ...]`."""
    x = given.inputs[0]
    if given.training and layer.layer.statistics:
        return _step_by_step(layer, given)
    dropout = {str(layer.layer.name): _folded(factor) for factor in given.dropout.values()}
    starts = (None,) * len(layer.layer.recurrent)
    inner = apply(layer.layer, Given([_folded(x)], [None], given.weights, starts, dropout, given.faults))

    def unfolded(array: Array) -> Array:
        return array.reshape(*x.shape[:2], *array.shape[1:])

    output = unfolded(inner.outputs[0])
    kept = len(x) if TIMESTEPS_ARE_CUT in given.faults else x.shape[1]

    def backward(gradients: list[Maybe]) -> Gradients:
        d_output = np.zeros_like(output)
        d_output[:, :kept] = present(gradients[0])
        back = inner.backward([_folded(d_output)])
        d_input = back.inputs[0]  # None of tokens
        return Gradients([None if d_input is None else unfolded(d_input)], back.weights)

    return Applied([output[:, :kept]], backward)


def _step_by_step(layer: TimeDistributed, given: Given) -> Applied:
    """Apply the layer inside to one timestep after the other, whose statistics the next one moves on."""
    x, statistics, steps = given.inputs[0], dict[str, Array](), []
    for time in range(x.shape[1]):
        mask = None if given.mask is None else given.mask[:, time]
        weights = {**given.weights, **statistics}
        step = dataclasses.replace(given, inputs=[x[:, time]], masks=[mask], weights=weights)
        steps.append(apply(layer.layer, step))
        statistics.update(steps[-1].statistics)

    def backward(gradients: list[Maybe]) -> Gradients:
        d = present(gradients[0])
        backs = [step.backward([d[:, time]]) for time, step in enumerate(steps)]
        weights = {name: sum(back.weights[name] for back in backs) for name in backs[0].weights}
        return Gradients([np.stack([present(back.inputs[0]) for back in backs], axis=1)], weights)

    return Applied([np.stack([step.outputs[0] for step in steps], axis=1)], backward, statistics=statistics)


def _folded(array: Array) -> Array:
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
