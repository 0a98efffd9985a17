"""Recurrent layers of the reference: LSTM, ConvLSTM2D, GRU, SimpleRNN and Bidirectional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from multilstm.engines.reference import hidden_state
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.faults import RecurrentFault, bias_sum, recurrent_fault
from multilstm.engines.reference.layers.base import AnyRecord, Applied, Given, Gradients, Maybe, apply, present, within
from multilstm.spec import GRU, LSTM, Bidirectional, ConvLSTM2D, SimpleRNN
from multilstm.spec.arrays import AnyState, Array, HiddenState, State
from multilstm.spec.layers import Recurrent


@apply.register(LSTM)
@apply.register(ConvLSTM2D)
def _(layer: LSTM | ConvLSTM2D, given: Given) -> Applied:
    fault = recurrent_fault(layer, given.mask, given.faults)
    changed = cast("LSTM | ConvLSTM2D", fault.layer)
    start = cast("State | None", given.starts[0])
    record = fault.changed(
        reference_lstm.forward(changed, given.inputs[0], given.mask, given.weights, start, given.dropout)
    )

    def pull(d_outputs: Maybe, d_state: AnyState) -> tuple[Array, Mapping[str, Array], AnyState]:
        back = reference_lstm.backward(
            changed, record, given.weights, d_outputs, cast(State, d_state), bias_sum(given.faults)
        )
        return back.inputs, back.weights, back.start

    return _applied(layer, fault, record, pull)


@apply.register(GRU)
@apply.register(SimpleRNN)
def _(layer: GRU | SimpleRNN, given: Given) -> Applied:
    fault = recurrent_fault(layer, given.mask, given.faults)
    start = cast("HiddenState | None", given.starts[0])
    record = fault.changed(
        hidden_state.forward(fault.layer, given.inputs[0], given.mask, given.weights, start, given.dropout)
    )

    def pull(d_outputs: Maybe, d_state: AnyState) -> tuple[Array, Mapping[str, Array], AnyState]:
        back = hidden_state.backward(
            fault.layer, record, given.weights, d_outputs, cast(HiddenState, d_state), bias_sum(given.faults)
        )
        return back.inputs, back.weights, back.start

    return _applied(layer, fault, record, pull)


# pull(gradient of the outputs, gradients of the last state) -> gradients of inputs, weights and initial state
Pull = Callable[[Maybe, AnyState], tuple[Array, Mapping[str, Array], AnyState]]


def _applied(layer: Recurrent, fault: RecurrentFault, record: AnyRecord, pull: Pull) -> Applied:
    """Return the call of a recurrent layer whose record is computed."""
    output = record.sequence if layer.return_sequences else record.outputs[-1]

    def backward(gradients: list[Maybe]) -> Gradients:
        d_output, *d_state = gradients
        d_last = layer.state_type._make(d_state or [None] * layer.state_count)
        d_inputs, d_weights, d_start = pull(fault.of_outputs(d_output), d_last)
        hidden, *others = d_start
        return Gradients([d_inputs], d_weights, (hidden + fault.of_start(d_output), *others))

    return Applied([output, *record.state] if layer.return_state else [output], backward, (record,))


@apply.register
def _(layer: Bidirectional, given: Given) -> Applied:
    """Run two layers over one sequence; reverse the outputs of the second into the order of time, and merge."""
    parts = []
    for (direction, part), start in zip(layer.directions.items(), given.starts, strict=True):
        weights, dropout = within(given.weights, direction), within(given.dropout, direction)
        parts.append(apply(part, Given(given.inputs, given.masks, weights, (start,), dropout, given.faults)))
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
        d_inputs = present(back[0].inputs[0]) + present(back[1].inputs[0])
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
