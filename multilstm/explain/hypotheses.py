"""As if what: simple faults of an LSTM, of which it is seen whether one gives exactly the engine's answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

import numpy as np

from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.execution.rounding import rounded
from multilstm.explain.gate import GATES
from multilstm.explain.timestep import Lone
from multilstm.spec import LSTM
from multilstm.spec.arrays import Array, State

STATES_EXCHANGED = "hidden and cell state were exchanged"
Made = tuple[Array, Array, Array]  # what the layer returns, hidden, cell


def suppose(lone: Lone) -> list[str]:
    """The faults that give what the engine gave over the whole sequence, each in words."""
    answer = lone.run(lone.inputs.shape[1])
    actual = (answer.outputs[0], *answer.states["lstm"])
    found = []
    for words, make in _faults(lone):
        pairs = list(zip(actual, make(), strict=True))
        if all(first.shape == second.shape and not lone.sides.outside(first, second).any() for first, second in pairs):
            found.append(words)
    return list(dict.fromkeys(found))


def _faults(lone: Lone) -> Iterator[tuple[str, Callable[[], Made]]]:
    layer, inputs, mask, start, units = lone.layer, lone.inputs, lone.mask, lone.start, lone.layer.units

    def made(
        layer: LSTM = layer,
        inputs: Array = inputs,
        mask: Array | None = mask,
        weights: Mapping[str, Array] = lone.weights,
        start: State | None = start,
    ) -> LSTMRecord:
        dtype = lone.sides.dtype
        numbers = {name: rounded(array, dtype).astype(np.float64) for name, array in weights.items()}
        given = None if start is None else lone.sides.rounded(start)
        with np.errstate(all="ignore"):
            return reference_lstm.forward(layer, rounded(inputs, dtype).astype(np.float64), mask, numbers, given, {})

    def answer(record: LSTMRecord) -> Made:
        output = record.sequence if layer.return_sequences else record.outputs[-1]
        return output, record.hidden[-1], record.cell[-1]

    def exchanged(first: int, second: int) -> Mapping[str, Array]:
        order = list(range(4))
        order[first], order[second] = second, first
        columns = np.concatenate([np.arange(k * units, (k + 1) * units) for k in order])
        return {name: array[..., columns] for name, array in lone.weights.items()}

    def states_exchanged() -> Made:
        output, hidden, cell = answer(made())
        return output if layer.return_sequences else cell, cell, hidden

    def initial_state_put_out() -> Made:
        record = made()
        assert mask is not None
        order = slice(None, None, -1 if layer.go_backwards else 1)
        begun = np.cumsum(mask[:, order], axis=1) > 0
        outputs = np.where(begun[..., None], record.sequence, record.hidden[0][:, None])
        return (outputs if layer.return_sequences else outputs[:, -1]), *answer(record)[1:]

    if mask is not None:
        yield "the mask were ignored", lambda: answer(made(mask=None))
        yield "the mask were turned round in time", lambda: answer(made(mask=mask[:, ::-1]))
        flag = not layer.zero_output_for_mask
        changed = dataclasses.replace(layer, zero_output_for_mask=flag)
        yield f"zero_output_for_mask were {flag}", lambda: answer(made(changed))
        yield "the initial state were put out until the mask keeps a timestep", initial_state_put_out
    if start is not None:
        yield "the initial state were ignored", lambda: answer(made(start=None))
        yield (
            "hidden and cell of the initial state were exchanged",
            lambda: answer(made(start=State(*start[::-1]))),
        )
    turned = dataclasses.replace(layer, go_backwards=not layer.go_backwards)
    yield f"go_backwards were {not layer.go_backwards}", lambda: answer(made(turned))
    for first, second in combinations(range(4), 2):
        words = f"gates {GATES[first]} and {GATES[second]} were exchanged"
        yield words, lambda pair=(first, second): answer(made(weights=exchanged(*pair)))  # type: ignore[misc]
    yield STATES_EXCHANGED, states_exchanged
    late = "each timestep took the input of the one before"
    yield f"{late}, and the first none", lambda: answer(made(inputs=_late(inputs)))
    yield f"{late}, and the first that of the last", lambda: answer(made(inputs=np.roll(inputs, 1, axis=1)))
    if layer.use_bias:
        bias = lone.weights["bias"]
        forget = np.repeat([0.0, 1.0, 0.0, 0.0], units)
        yield "there were no bias", lambda: answer(made(weights={**lone.weights, "bias": 0 * bias}))
        for change in (-1.0, 1.0):
            words = f"{change:+g} were added to the bias of gate f"
            added = {**lone.weights, "bias": bias + change * forget}
            yield words, lambda weights=added: answer(made(weights=weights))  # type: ignore[misc]


def _late(inputs: Array) -> Array:
    made = np.roll(inputs, 1, axis=1)
    made[:, 0] = 0
    return made
