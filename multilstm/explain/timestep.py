"""The first timestep that diverges: one LSTM alone, on the reference's inputs, with ever shorter sequences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from multilstm.cases.case import KEPT
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.execution.rounding import rounded
from multilstm.explain.side_by_side import Sides
from multilstm.jobs.job import Answer, Batch, Step
from multilstm.spec import LSTM, Input, Model
from multilstm.spec.arrays import AnyState, Array, State


class Prefix(NamedTuple):
    """The shortest prefix of a sequence on which an engine diverges.

    Attributes:
        processed: number of the first timestep that diverges, from 1, in the order of processing.
        length: length of the prefix; greater than `processed` only if a later timestep changes an earlier one.
    """

    processed: int
    length: int


def lstm_state(state: AnyState | None) -> State:
    """Return the state of an LSTM."""
    assert isinstance(state, State)
    return state


@dataclasses.dataclass(frozen=True)
class IsolatedLSTM:
    """One LSTM of a model, alone.

    Attributes:
        sides: engine and reference.
        layer: the LSTM.
        weights: `kernel`, `recurrent_kernel` and, if used, `bias`.
        inputs: `[batch, timesteps, features]`.
        mask: `[batch, timesteps]`, or None.
        start: initial state; None for the default, which is zero.
        fixed: whether its model has a fixed number of timesteps.
    """

    sides: Sides
    layer: LSTM
    weights: Mapping[str, Array]
    inputs: Array
    mask: Array | None
    start: State | None
    fixed: bool

    @property
    def timesteps(self) -> int:
        """The number of timesteps of the full sequence."""
        return int(self.inputs.shape[1])

    @cached_property
    def record(self) -> LSTMRecord:
        """All values that the reference computes on the full sequence."""
        dtype = self.sides.dtype
        weights = {name: rounded(array, dtype).astype(np.float64) for name, array in self.weights.items()}
        start = None if self.start is None else lstm_state(self.sides.rounded(self.start))
        inputs = rounded(self.inputs, dtype).astype(np.float64)
        with np.errstate(all="ignore"):  # the comparison judges values that are not finite
            return reference_lstm.forward(self.layer, inputs, self.mask, weights, start, {})

    def run(self, timesteps: int) -> Answer:
        """Return the engine's answer on the first timesteps, in the order of processing."""
        total = self.timesteps
        prefix = slice(total - timesteps, total) if self.layer.go_backwards else slice(timesteps)
        size = len(self.inputs)
        source = Input((timesteps if self.fixed else None, self.inputs.shape[2]), size, name="input")
        layer = dataclasses.replace(self.layer, name="lstm", return_state=False)
        start = {} if self.start is None else {"lstm": self.start}
        batch = Batch(
            {"input": self.inputs[:, prefix]},
            masks={} if self.mask is None else {"input": self.mask[:, prefix]},
            states={} if layer.stateful else start,
        )
        answers = self.sides.forward(
            Model(source, layer(source)),
            {f"lstm/{name}": array for name, array in self.weights.items()},
            [Step("forward", batch, keep=KEPT)],
            carried=start if layer.stateful else {},
        )
        return answers.actual[0]

    def shortest_prefix(self) -> Prefix | None:
        """Return the shortest prefix on which the engine diverges; None if it agrees on the full sequence."""
        total = self.timesteps
        if not self._differs_after(total).any():
            return None
        length = self._first_output(total) or total
        if length < total and not self._differs_after(length).any():
            return Prefix(length, total)
        agrees = 0
        while length - agrees > 1:
            middle = (agrees + length) // 2
            if self._differs_after(middle).any():
                length = middle
            else:
                agrees = middle
        return Prefix(min(length, self._first_output(length) or length), length)

    def timestep(self, processed: int) -> int:
        """Return the timestep, from 0, in the order of the sequence, of a number in the order of processing."""
        return self.timesteps - processed if self.layer.go_backwards else processed - 1

    def _differs_after(self, timesteps: int) -> Array:
        """Return for every row whether state or output differ after so many timesteps, boolean `[batch]`."""
        answer, record = self.run(timesteps), self.record
        state = lstm_state(answer.states["lstm"])
        pairs = [(state.hidden, record.hidden[timesteps]), (state.cell, record.cell[timesteps])]
        if not self.layer.return_sequences:
            pairs.append((answer.outputs[0], record.outputs[timesteps]))
        differs = np.concatenate([self.sides.differs(*pair) for pair in pairs], axis=1)
        if self.layer.return_sequences:
            outputs = self.sides.differs(answer.outputs[0], record.sequence[:, :timesteps])
            differs = np.concatenate([differs, outputs.reshape(len(outputs), -1)], axis=1)
        rows: Array = np.asarray(differs.any(axis=1))
        return rows

    def _first_output(self, timesteps: int) -> int | None:
        """Return the number, from 1, of the first output that differs in a prefix of so many timesteps, or None."""
        if not self.layer.return_sequences:
            return None
        outputs = self.run(timesteps).outputs[0], self.record.sequence[:, :timesteps]
        differs = self.sides.differs(*outputs).any(axis=(0, 2))
        return int(differs.argmax()) + 1 if differs.any() else None
