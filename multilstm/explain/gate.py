"""The first gate that diverges: one timestep from a given state, with weights that show one gate at a time.

A fused kernel does not return its gates, but its answers depend on them. A gate with zero kernels and the bias
`NEUTRAL` is a known constant: it is neutral. With g the activated candidate of gate c, from a cell state of 0 or 1,

    cell(0) = i * g;    cell(1) - cell(0) = f;    hidden = o * activation(cell)

Make three gates neutral: the answer then shows the fourth. Divide it by the answer with all four gates neutral: a fault
in a neutral gate cancels. For example, i = neutral_i * cell(0) / cell(0, all neutral); g and o likewise.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from multilstm.engines.reference.activations import FUNCTIONS
from multilstm.explain.side_by_side import Sides
from multilstm.explain.timestep import IsolatedLSTM, lstm_state
from multilstm.jobs.job import Batch
from multilstm.spec import Input, Model
from multilstm.spec.arrays import Array, State

GATES = ("i", "f", "c", "o")
NONE = ""  # all four gates are neutral
NEUTRAL = 1.5  # the bias of a neutral gate
# A gate is computed from up to three values, each of which may be off by its tolerance.
TIMES = 4.0


def gates_of(lstm: IsolatedLSTM, processed: int) -> dict[str, tuple[Array, Array]]:
    """Return each gate on the engine and on the reference, `[batch, units]` each, at one timestep.

    Args:
        lstm: the LSTM.
        processed: number of the timestep, from 1, in the order of processing.
    """
    index = processed - 1
    order = -1 if lstm.layer.go_backwards else 1
    x = lstm.inputs[:, ::order][:, index : index + 1]
    hidden_before = lstm.record.hidden[index]
    states = {gate: _state_with(lstm, x, hidden_before, gate) for gate in (NONE, *GATES)}
    constant = np.full((1, lstm.layer.units), NEUTRAL)
    recurrent = FUNCTIONS[lstm.layer.recurrent_activation].forward(constant)
    activation = FUNCTIONS[lstm.layer.activation].forward(constant)
    cell = {gate: np.split(np.float64(state.cell), 2) for gate, state in states.items()}
    hidden = {gate: np.split(np.float64(state.hidden), 2)[0] for gate, state in states.items()}
    with np.errstate(all="ignore"):
        actual = {
            "i": recurrent * (cell["i"][0] / cell[NONE][0]),
            "f": cell["f"][1] - cell["f"][0],
            "c": activation * (cell["c"][0] / cell[NONE][0]),
            "o": recurrent * (hidden["o"] / hidden[NONE]),
        }
    return {gate: (actual[gate], lstm.record.gates[index, :, number]) for number, gate in enumerate(GATES)}


def _state_with(lstm: IsolatedLSTM, x: Array, hidden: Array, shown: str) -> State:
    """Return the engine's state after one timestep in which all gates but one are neutral.

    Rows `[:batch]` start from a cell state of 0, the others from 1.
    """
    layer = dataclasses.replace(
        lstm.layer, name="lstm", use_bias=True, stateful=False, return_sequences=False, return_state=False
    )
    kept = np.repeat([gate == shown for gate in GATES], layer.units)
    bias = lstm.weights.get("bias", np.zeros(4 * layer.units))
    weights: dict[str, Any] = {
        "lstm/kernel": np.where(kept, lstm.weights["kernel"], 0.0),
        "lstm/recurrent_kernel": np.where(kept, lstm.weights["recurrent_kernel"], 0.0),
        "lstm/bias": np.where(kept, bias, NEUTRAL),
    }
    source = Input((1, x.shape[2]), name="input")
    cell = np.concatenate([np.zeros_like(hidden), np.ones_like(hidden)])
    batch = Batch({"input": np.concatenate([x, x])}, states={"lstm": State(np.concatenate([hidden, hidden]), cell)})
    return lstm_state(lstm.sides.once(Model(source, layer(source)), weights, batch)[0].states["lstm"])


def first_gate(sides: Sides, gates: dict[str, tuple[Array, Array]], row: int) -> tuple[str, int] | None:
    """Return the first wrong gate of a row, in the order i, f, c, o, and its worst unit; None if all are right."""
    for gate, (actual, desired) in gates.items():
        if sides.differs(actual[row], desired[row], TIMES).any():
            distance = np.abs(actual[row] - desired[row])
            return gate, int(np.where(np.isnan(distance), np.inf, distance).argmax())
    return None
