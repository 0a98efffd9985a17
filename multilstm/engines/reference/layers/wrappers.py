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
    tape: dict[int, Applied] = {}
    numbers = iter([number for number, call in enumerate(graph.calls) if call.layer != layer.source])

    def apply_call(call: Call, part: Layer, inputs: list[Any], masks: list[Any], _: list[Any]) -> Sequence[Array]:
        starts = (None,) * len(part.recurrent)
        weights, shape = within(given.weights, call.layer), graph.tensor_shapes[call.inputs[0]]
        faults = faults_of_call(given.faults, shape)
        applied = apply(part, Given(inputs, masks, weights, starts, faults=faults, training=given.training))
        tape[next(numbers)] = applied
        return applied.outputs

    tensors, _ = walk(graph, {layer.source: given.inputs[0]}, {}, apply_call)
    (output,) = graph.outputs

    def backward(gradients: list[Maybe]) -> Gradients:
        arriving: dict[Ref, Maybe] = {output: gradients[0]}
        weights: dict[str, Any] = {}
        for number, applied in reversed(tape.items()):
            given_back = [arriving.get(Ref(number, place)) for place in range(len(applied.outputs))]
            if all(gradient is None for gradient in given_back):
                continue
            call, back = graph.calls[number], applied.backward(given_back)
            for ref, d_input in zip(call.inputs, back.inputs, strict=True):
                arriving[ref] = _added(arriving.get(ref), d_input)
            for name, d_weight in back.weights.items():
                key = f"{call.layer}/{name}"
                weights[key] = weights[key] + d_weight if key in weights else d_weight
        source = next(number for number, call in enumerate(graph.calls) if call.layer == layer.source)
        return Gradients([arriving.get(Ref(source))], weights)

    return Applied([tensors[output]], backward)


def _added(first: Maybe, second: Maybe) -> Maybe:
    """Return the sum of two gradients; None is that of an array which the loss does not reach."""
    if first is None or second is None:
        return second if first is None else first
    return first + second
