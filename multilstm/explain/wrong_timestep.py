"""The first wrong timestep of an LSTM: its place, and probes that add notes for a reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

from multilstm.explain.gate import first_gate, gates_of
from multilstm.explain.hypotheses import Hypothesis, StatesExchanged, confirmed
from multilstm.explain.timestep import IsolatedLSTM, Prefix, lstm_state
from multilstm.spec.arrays import Array

Pair = tuple[Array, Array]  # actual, desired


class WrongValue(NamedTuple):
    """The first wrong value of a timestep.

    Attributes:
        gate: `i`, `f`, `c` or `o`; `cell`, `hidden` or `output` if all gates are right or unknown.
        unit: number of the unit.
        actual: the engine's value.
        desired: the reference's value.
    """

    gate: str
    unit: int
    actual: float
    desired: float


@dataclasses.dataclass(frozen=True)
class WrongTimestep:
    """The first timestep of an LSTM at which the engine diverges.

    Attributes:
        lstm: the LSTM.
        prefix: the shortest prefix on which the engine diverges.
    """

    lstm: IsolatedLSTM
    prefix: Prefix

    @property
    def later_acts(self) -> bool:
        """Whether the timestep is right in a sequence that ends with it."""
        return self.prefix.length > self.prefix.processed

    @cached_property
    def values(self) -> Mapping[str, Pair]:
        """The states after the timestep, if they are known, and its output, `[batch, units]` each."""
        processed, length = self.prefix
        record, answer = self.lstm.record, self.lstm.run(length)
        output = answer.outputs[0][:, processed - 1] if self.lstm.layer.return_sequences else answer.outputs[0]
        values = {"output": (output, record.outputs[processed])}
        if self.later_acts:
            return values
        state = lstm_state(answer.states["lstm"])
        states = {"cell": (state.cell, record.cell[processed]), "hidden": (state.hidden, record.hidden[processed])}
        return {**states, **values}

    @cached_property
    def row(self) -> int:
        """The first row that differs."""
        differing = [self.lstm.sides.differs(*pair).any(axis=1) for pair in self.values.values()]
        return min(int(rows.argmax()) for rows in differing if rows.any())

    @property
    def masked(self) -> bool:
        """Whether the mask leaves the timestep out in this row."""
        keep = self.lstm.record.keep
        return keep is not None and not keep[self.prefix.processed - 1, self.row, 0]

    @cached_property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """The simple faults that reproduce the engine's answer."""
        return confirmed(self.lstm)

    @cached_property
    def gates(self) -> dict[str, Pair]:
        """The four gates, `[batch, units]` each; empty where they cannot be found from answers."""
        exchanged = any(isinstance(hypothesis, StatesExchanged) for hypothesis in self.hypotheses)
        return {} if self.masked or self.later_acts or exchanged else gates_of(self.lstm, self.prefix.processed)

    @cached_property
    def wrong_gate(self) -> tuple[str, int] | None:
        """The first wrong gate and its worst unit, or None."""
        return first_gate(self.lstm.sides, self.gates, self.row)

    def wrong_value(self) -> WrongValue:
        """Return the first wrong value: a gate if one is wrong, else a state or the output."""
        if self.wrong_gate is not None:
            gate, unit = self.wrong_gate
            return self._value(gate, unit, self.gates[gate])
        differing = {
            name: self.lstm.sides.differs(*(array[self.row] for array in pair)) for name, pair in self.values.items()
        }
        name = next(name for name, units in differing.items() if units.any())
        return self._value(name, int(differing[name].argmax()), self.values[name])

    def _value(self, name: str, unit: int, pair: Pair) -> WrongValue:
        actual, desired = (float(array[self.row, unit]) for array in pair)
        return WrongValue(name, unit, actual, desired)

    def notes(self) -> tuple[str, ...]:
        """Return the notes of all probes that have one."""
        return tuple(note for probe in PROBES if (note := probe(self)) is not None)


def _note_on_mask(step: WrongTimestep) -> str | None:
    return "the mask leaves this timestep out" if step.masked else None


def _note_on_later_timesteps(step: WrongTimestep) -> str | None:
    if not step.later_acts:
        return None
    return "in a sequence that ends here the timestep is right: a later timestep changes it"


def _note_on_gates(step: WrongTimestep) -> str | None:
    if not step.gates or step.wrong_gate is not None:
        return None
    return "given the right state and input, every gate is right"


def _note_on_hypotheses(step: WrongTimestep) -> str | None:
    names = [hypothesis.name for hypothesis in step.hypotheses]
    return f"as if {', or '.join(names)}" if names else None


# Each probe returns a note for a reader, or None. The notes are shown in this order.
PROBES: tuple[Callable[[WrongTimestep], str | None], ...] = (
    _note_on_mask,
    _note_on_later_timesteps,
    _note_on_gates,
    _note_on_hypotheses,
)
