"""TimeDistributed of the reference: the timesteps are folded into the batch, and unfolded again.

In training, a BatchNormalization inside takes the statistics of one timestep after the other, as in Keras 3. The layers
of a model inside are applied one after the other, and gone back over in reverse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from multilstm.engines.reference.faults import TIMESTEPS_ARE_CUT, faults_of_call
from multilstm.engines.reference.layers.base import Applied, Given, Gradients, Maybe, apply, present, within
from multilstm.engines.reference.tape import GradientSums, Taped
from multilstm.spec import Call, Layer, Ref, TimeDistributed
from multilstm.spec.arrays import Array
from multilstm.spec.layers import InnerModel
from multilstm.spec.propagation import walk


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


@apply.register
def _(layer: InnerModel, given: Given) -> Applied:
    """Apply the model to sequences `[batch, ...]`, from states of zeros and with the masks of its own layers."""
    graph = layer.model
    tape: list[Taped] = []
    numbers = iter([number for number, call in enumerate(graph.calls) if call.layer != layer.source])

    def apply_call(call: Call, part: Layer, inputs: list[Any], masks: list[Any], _: list[Any]) -> Sequence[Array]:
        starts = (None,) * len(part.recurrent)
        weights, shape = within(given.weights, call.layer), graph.tensor_shapes[call.inputs[0]]
        faults = faults_of_call(given.faults, shape)
        applied = apply(part, Given(inputs, masks, weights, starts, faults=faults, training=given.training))
        tape.append(Taped(next(numbers), call, applied, starts))
        return applied.outputs

    tensors, _ = walk(graph, {layer.source: given.inputs[0]}, {}, apply_call)
    (output,) = graph.outputs
    source = next(Ref(number) for number, call in enumerate(graph.calls) if call.layer == layer.source)

    def backward(gradients: list[Maybe]) -> Gradients:
        sums = GradientSums({})
        sums.add(output, gradients[0])
        for taped in reversed(tape):
            sums.go_back(taped)
        return Gradients([sums.tensors.get(source)], sums.weights)

    return Applied([tensors[output]], backward)
