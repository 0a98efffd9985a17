"""The first timestep and row: one LSTM alone, on what the reference gives it, its sequence cut ever shorter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from multilstm.cases.case import KEPT
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.execution.rounding import rounded
from multilstm.explain.side_by_side import Sides
from multilstm.jobs.job import Answer, Batch, Step
from multilstm.spec import LSTM, Input, Model
from multilstm.spec.arrays import Array, State


@dataclasses.dataclass(frozen=True)
class Lone:
    """One LSTM alone.

    Attributes:
        sides: engine and reference.
        layer: the LSTM.
        weights: `kernel`, `recurrent_kernel` and, if used, `bias`.
        inputs: `[batch, timesteps, features]`.
        mask: `[batch, timesteps]`, or None.
        start: its initial state; None: zeros that nobody gave.
        fixed: whether its model knows the number of timesteps.
    """

    sides: Sides
    layer: LSTM
    weights: Mapping[str, Array]
    inputs: Array
    mask: Array | None
    start: State | None
    fixed: bool

    @cached_property
    def record(self) -> LSTMRecord:
        """All that the reference computes of it."""
        dtype = self.sides.dtype
        weights = {name: rounded(array, dtype).astype(np.float64) for name, array in self.weights.items()}
        start = None if self.start is None else self.sides.rounded(self.start)
        inputs = rounded(self.inputs, dtype).astype(np.float64)
        with np.errstate(all="ignore"):  # what is not finite is judged where it is compared
            return reference_lstm.forward(self.layer, inputs, self.mask, weights, start, {})

    def run(self, timesteps: int) -> Answer:
        """The engine's answer on the first timesteps, in the order in which they are processed."""
        total = self.inputs.shape[1]
        part = slice(total - timesteps, total) if self.layer.go_backwards else slice(timesteps)
        size = len(self.inputs)
        source = Input((timesteps if self.fixed else None, self.inputs.shape[2]), size, name="input")
        layer = dataclasses.replace(self.layer, name="lstm", return_state=False)
        start = {} if self.start is None else {"lstm": self.start}
        batch = Batch(
            {"input": self.inputs[:, part]},
            masks={} if self.mask is None else {"input": self.mask[:, part]},
            states={} if layer.stateful else start,
        )
        found = self.sides.forward(
            Model(source, layer(source)),
            {f"lstm/{name}": array for name, array in self.weights.items()},
            [Step("forward", batch, keep=KEPT)],
            carried=start if layer.stateful else {},
        )
        return found.actual[0]

    def parts_after(self, timesteps: int) -> Array:
        """For every row, whether its state or its output parts once so many timesteps are processed; boolean."""
        answer, record = self.run(timesteps), self.record
        state = answer.states["lstm"]
        pairs = [(state.hidden, record.hidden[timesteps]), (state.cell, record.cell[timesteps])]
        if not self.layer.return_sequences:
            pairs.append((answer.outputs[0], record.outputs[timesteps]))
        apart = np.concatenate([self.sides.outside(*pair) for pair in pairs], axis=1)
        if self.layer.return_sequences:
            early = self.sides.outside(answer.outputs[0], record.sequence[:, :timesteps])
            apart = np.concatenate([apart, early.reshape(len(early), -1)], axis=1)
        rows: Array = np.asarray(apart.any(axis=1))
        return rows

    def first_output(self, timesteps: int) -> int | None:
        """The number, from 1, of the first output that parts in a sequence cut to so many; None where none does."""
        if not self.layer.return_sequences:
            return None
        pair = self.run(timesteps).outputs[0], self.record.sequence[:, :timesteps]
        apart = self.sides.outside(*pair).any(axis=(0, 2))
        return int(apart.argmax()) + 1 if apart.any() else None

    def shortest(self) -> tuple[int, int] | None:
        """Where it parts first: after how many timesteps, in a sequence of which length.

        The length is that number too, as long as what comes later does not act on what comes before. With one timestep
        less it does not part. None where it does not part at all.
        """
        total = self.inputs.shape[1]
        if not self.parts_after(total).any():
            return None
        known = self.first_output(total) or total
        if known < total and not self.parts_after(known).any():
            return known, total
        agrees = 0
        while known - agrees > 1:
            middle = (agrees + known) // 2
            if self.parts_after(middle).any():
                known = middle
            else:
                agrees = middle
        return min(known, self.first_output(known) or known), known

    def timestep(self, processed: int) -> int:
        """The timestep, in the order of the sequence, that is processed as number `processed`, from 1."""
        return self.inputs.shape[1] - processed if self.layer.go_backwards else processed - 1
