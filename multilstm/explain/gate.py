"""The first gate: one timestep from a given state, with weights that leave one gate at a time alive.

A fused kernel does not show its gates, but its answers do. Where a gate's kernels are zero and its bias is `NEUTRAL`,
it is a known constant. With all gates but one so, and the cell state before the timestep zero or one,

    cell(0) = i * g;    cell(1) - cell(0) = f;    hidden = o * activation(cell)

show that one. As quotients by what the answer is where all four are neutral, they do not depend on the others, right or
wrong: i = neutral_i * cell(0) / cell(0, all neutral), and g and o likewise.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from multilstm.engines.reference.activations import FUNCTIONS
from multilstm.explain.side_by_side import Sides
from multilstm.explain.timestep import Lone
from multilstm.jobs.job import Batch
from multilstm.spec import Input, Model
from multilstm.spec.arrays import Array, State

GATES = ("i", "f", "c", "o")
NONE = ""
NEUTRAL = 1.5  # the bias of a neutral gate
# A gate is found from up to three values, each of which may be as far away as its row of tolerances says.
TIMES = 4.0


def gates_of(lone: Lone, processed: int) -> dict[str, tuple[Array, Array]]:
    """Each gate at timestep number `processed` (from 1) on the engine and on the reference, `[batch, units]` each."""
    at = processed - 1
    order = -1 if lone.layer.go_backwards else 1
    x = lone.inputs[:, ::order][:, at : at + 1]
    hidden = lone.record.hidden[at]
    answers = {name: _probe(lone, x, hidden, name) for name in (NONE, *GATES)}
    units = lone.layer.units
    constant = np.full((1, units), NEUTRAL)
    recurrent = FUNCTIONS[lone.layer.recurrent_activation].forward(constant)
    activation = FUNCTIONS[lone.layer.activation].forward(constant)
    cell = {name: np.split(np.float64(answer.cell), 2) for name, answer in answers.items()}
    shown = {name: np.split(np.float64(answer.hidden), 2)[0] for name, answer in answers.items()}
    with np.errstate(all="ignore"):
        actual = {
            "i": recurrent * (cell["i"][0] / cell[NONE][0]),
            "f": cell["f"][1] - cell["f"][0],
            "c": activation * (cell["c"][0] / cell[NONE][0]),
            "o": recurrent * (shown["o"] / shown[NONE]),
        }
    return {name: (actual[name], lone.record.gates[at, :, number]) for number, name in enumerate(GATES)}


def _probe(lone: Lone, x: Array, hidden: Array, alive: str) -> State:
    """The engine's state after one timestep; rows `[:batch]` start from a cell state of 0, the others from 1."""
    layer = dataclasses.replace(
        lone.layer, name="lstm", use_bias=True, stateful=False, return_sequences=False, return_state=False
    )
    kept = np.repeat([name == alive for name in GATES], layer.units)
    bias = lone.weights.get("bias", np.zeros(4 * layer.units))
    weights: dict[str, Any] = {
        "lstm/kernel": np.where(kept, lone.weights["kernel"], 0.0),
        "lstm/recurrent_kernel": np.where(kept, lone.weights["recurrent_kernel"], 0.0),
        "lstm/bias": np.where(kept, bias, NEUTRAL),
    }
    source = Input((1, x.shape[2]), name="input")
    cell = np.concatenate([np.zeros_like(hidden), np.ones_like(hidden)])
    batch = Batch({"input": np.concatenate([x, x])}, states={"lstm": State(np.concatenate([hidden, hidden]), cell)})
    return lone.sides.once(Model(source, layer(source)), weights, batch)[0].states["lstm"]


def first_gate(sides: Sides, gates: dict[str, tuple[Array, Array]], row: int) -> tuple[str, int] | None:
    """The first gate, i, f, c, o, that is wrong in a row, and its worst unit; None where all are right."""
    for name, (actual, desired) in gates.items():
        if sides.outside(actual[row], desired[row], TIMES).any():
            distance = np.abs(actual[row] - desired[row])
            return name, int(np.where(np.isnan(distance), np.inf, distance).argmax())
    return None
