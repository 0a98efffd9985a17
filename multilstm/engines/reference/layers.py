"""Layers of the reference: the outputs of each call, and the function that takes gradients back through it.

All arrays are float64. `apply` dispatches on the layer's class and returns the outputs together with `backward`. This
function maps the gradients of the outputs to those of inputs, weights and initial states. None is the gradient of an
output that the loss does not reach. A row of a batch without a gradient passes none on: a masked row may hold NaN, and
zero times NaN would be NaN.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Set
from functools import singledispatch
from typing import Any

import numpy as np

from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.activations import FUNCTIONS, Function
from multilstm.engines.reference.faults import TOKENS_ARE_SQUARED_APART, bias_sum, lstm_fault
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.engines.reference.row_gradient import RowGradient
from multilstm.errors import InputError
from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Masking,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.arrays import Array, State

Maybe = Array | None


@dataclasses.dataclass(frozen=True)
class Given:
    """Arguments of one call of a layer.

    Attributes:
        inputs: its input arrays, `[batch, ...]`.
        mask: the mask `[batch, timesteps]` of the first input, or None.
        weights: its weights by name, without the layer's name.
        starts: the initial state of each of its LSTMs, or None for zeros.
        dropout: its dropout masks in training, by name, without the layer's name; of a Dropout layer, by its name.
        faults: the names of faults to compute, see `multilstm.engines.reference.faults`.
    """

    inputs: list[Array]
    mask: Maybe
    weights: Mapping[str, Array]
    starts: tuple[State | None, ...] = ()
    dropout: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    faults: Set[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Gradients:
    """Gradients of inputs and weights, and of hidden and cell of every initial state in turn.

    The gradient of a weight is an array, or a `RowGradient`.
    """

    inputs: list[Maybe]
    weights: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    states: tuple[Array, ...] = ()


@dataclasses.dataclass(frozen=True)
class Applied:
    """Outputs of one call of a layer, the way back through it, and the records of its LSTMs."""

    outputs: list[Array]
    backward: Callable[[list[Maybe]], Gradients]
    records: tuple[LSTMRecord, ...] = ()


def within(arrays: Mapping[str, Array], layer: str) -> dict[str, Array]:
    """Return the arrays that belong to a layer: `layer/weight` by the name `weight`, and `layer` by its name."""
    return {
        name.removeprefix(f"{layer}/"): array for name, array in arrays.items() if f"{name}/".startswith(f"{layer}/")
    }


@singledispatch
def apply(layer: Layer, given: Given) -> Applied:
    """Compute one call of `layer`."""
    raise NotImplementedError(type(layer))


@apply.register
def _(layer: Embedding, given: Given) -> Applied:
    """Map tokens `[batch, timesteps]` to rows of `embeddings [input_dim, output_dim]`."""
    tokens = given.inputs[0].astype(np.int64)
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < layer.input_dim):
        raise InputError(
            f"Embedding {layer.name!r}: tokens must be from 0 to {layer.input_dim - 1}; "
            f"given {tokens.min()} to {tokens.max()}"
        )

    def backward(gradients: list[Maybe]) -> Gradients:
        d_output = _present(gradients[0])
        rows = RowGradient(tokens.ravel(), d_output.reshape(-1, layer.output_dim), layer.input_dim)
        apart = TOKENS_ARE_SQUARED_APART in given.faults
        return Gradients([None], {"embeddings": rows if apart else np.asarray(rows)})

    return Applied([given.weights["embeddings"][tokens]], backward)


@apply.register
def _(layer: Masking, given: Given) -> Applied:
    """Set timesteps to zero whose features `[batch, timesteps, :]` all equal mask_value."""
    keep = (given.inputs[0] != layer.mask_value).any(axis=-1, keepdims=True)
    return Applied(
        [np.where(keep, given.inputs[0], 0.0)],
        lambda gradients: Gradients([np.where(keep, _present(gradients[0]), 0.0)]),
    )


@apply.register
def _(layer: LSTM, given: Given) -> Applied:
    fault = lstm_fault(layer, given.mask, given.faults)
    record = fault.changed(
        reference_lstm.forward(fault.layer, given.inputs[0], given.mask, given.weights, given.starts[0], given.dropout)
    )
    output = record.sequence if layer.return_sequences else record.outputs[-1]

    def backward(gradients: list[Maybe]) -> Gradients:
        d_output, *d_state = gradients
        back = reference_lstm.backward(
            fault.layer,
            record,
            given.weights,
            fault.of_outputs(d_output),
            State(*(d_state or (None, None))),
            bias_sum(given.faults),
        )
        hidden, cell = back.start
        return Gradients([back.inputs], back.weights, (hidden + fault.of_start(d_output), cell))

    return Applied([output, *record.state] if layer.return_state else [output], backward, (record,))


@apply.register
def _(layer: Bidirectional, given: Given) -> Applied:
    """Run two LSTMs over one sequence; reverse the outputs of the second into the order of time, and merge."""
    parts = []
    for (direction, lstm), start in zip(layer.directions.items(), given.starts, strict=True):
        weights, dropout = within(given.weights, direction), within(given.dropout, direction)
        parts.append(apply(lstm, Given(given.inputs, given.mask, weights, (start,), dropout, given.faults)))
    sequences = layer.layer.return_sequences

    def reversed_back(array: Array) -> Array:
        return array[:, ::-1] if sequences else array

    first, second = parts[0].outputs[0], reversed_back(parts[1].outputs[0])
    merged, unmerge = _merge(layer.merge_mode, first, second)
    states = [state for part in parts for state in part.outputs[1:]]

    def backward(gradients: list[Maybe]) -> Gradients:
        d_first, d_second = unmerge(gradients[: len(merged)])
        d_states = gradients[len(merged) :]
        half = len(d_states) // 2
        back = (
            parts[0].backward([d_first, *d_states[:half]]),
            parts[1].backward([None if d_second is None else reversed_back(d_second), *d_states[half:]]),
        )
        d_weights = {
            f"{direction}/{name}": weight
            for direction, part in zip(layer.directions, back, strict=True)
            for name, weight in part.weights.items()
        }
        d_inputs = _present(back[0].inputs[0]) + _present(back[1].inputs[0])
        return Gradients([d_inputs], d_weights, back[0].states + back[1].states)

    return Applied([*merged, *states], backward, parts[0].records + parts[1].records)


def _merge(
    mode: str | None, first: Array, second: Array
) -> tuple[list[Array], Callable[[list[Maybe]], tuple[Maybe, Maybe]]]:
    """Return the merged outputs, and the function from their gradients to those of `first` and `second`."""
    if mode is None:
        return [first, second], lambda d: (d[0], d[1])
    if mode == "concat":
        units = first.shape[-1]
        merged = np.concatenate([first, second], axis=-1)
        return [merged], lambda d: (None, None) if d[0] is None else (d[0][..., :units], d[0][..., units:])
    if mode == "mul":
        return [first * second], lambda d: (None, None) if d[0] is None else (d[0] * second, d[0] * first)
    share = 0.5 if mode == "ave" else 1.0
    return [(first + second) * share], lambda d: (None, None) if d[0] is None else (d[0] * share, d[0] * share)


@apply.register
def _(layer: Dense, given: Given) -> Applied:
    """Compute `activation(x @ kernel + bias)`, `x [..., features]`."""
    x, kernel = given.inputs[0], given.weights["kernel"]
    function = FUNCTIONS[str(layer.activation)]
    z = x @ kernel
    if layer.use_bias:
        z = z + given.weights["bias"]
    output = function.forward(z)

    def backward(gradients: list[Maybe]) -> Gradients:
        reached, d_z = _pull(function, z, output, _present(gradients[0]))
        flat, rows = d_z.reshape(-1, layer.units), np.where(reached, x, 0.0).reshape(-1, x.shape[-1])
        d_weights = {"kernel": rows.T @ flat}
        if layer.use_bias:
            d_weights["bias"] = bias_sum(given.faults)(flat[None])
        return Gradients([d_z @ kernel.T], d_weights)

    return Applied([output], backward)


def _pull(function: Function, z: Array, output: Array, d_output: Array) -> tuple[Array, Array]:
    """Return the rows of the last axis that a gradient reaches, `[..., 1]`, and the gradient of z, else zero."""
    reached = (d_output != 0).any(axis=-1, keepdims=True)
    return reached, np.where(reached, function.pullback(z, output, d_output), 0.0)


@apply.register
def _(layer: TimeDistributed, given: Given) -> Applied:
    return apply(layer.layer, given)


@apply.register
def _(layer: Activation, given: Given) -> Applied:
    z, function = given.inputs[0], FUNCTIONS[layer.activation]
    output = function.forward(z)
    return Applied([output], lambda gradients: Gradients([_pull(function, z, output, _present(gradients[0]))[1]]))


@apply.register
def _(layer: Dropout, given: Given) -> Applied:
    factor = given.dropout.get(str(layer.name))
    if factor is None:
        return Applied(given.inputs, lambda gradients: Gradients(gradients))
    return Applied([given.inputs[0] * factor], lambda gradients: Gradients([_present(gradients[0]) * factor]))


@apply.register
def _(layer: RepeatVector, given: Given) -> Applied:
    """Map `[batch, features]` to `[batch, n, features]`."""
    return Applied(
        [np.repeat(given.inputs[0][:, None], layer.n, axis=1)],
        lambda gradients: Gradients([_present(gradients[0]).sum(axis=1)]),
    )


@apply.register
def _(layer: Concatenate, given: Given) -> Applied:
    ends = np.cumsum([array.shape[-1] for array in given.inputs])[:-1]
    return Applied(
        [np.concatenate(given.inputs, axis=-1)],
        lambda gradients: Gradients(list(np.split(_present(gradients[0]), ends, axis=-1))),
    )


def _present(gradient: Maybe) -> Array:
    """Return the gradient of a layer's only output; `backward` is called only if one arrives."""
    assert gradient is not None
    return gradient
