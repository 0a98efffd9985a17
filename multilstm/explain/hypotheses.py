"""Hypotheses for a wrong LSTM: simple faults, applied to the reference.

A hypothesis is confirmed if the faulty reference reproduces the engine's answer on the full sequence.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from multilstm.explain.gate import GATES
from multilstm.explain.timestep import IsolatedLSTM
from multilstm.spec.arrays import Array, State


class LSTMAnswer(NamedTuple):
    """The answer of one LSTM.

    Attributes:
        output: `[batch, timesteps, units]` with `return_sequences`, else `[batch, units]`.
        hidden: the last hidden state, `[batch, units]`.
        cell: the last cell state, `[batch, units]`.
    """

    output: Array
    hidden: Array
    cell: Array


class Hypothesis(abc.ABC):
    """A simple fault of an LSTM.

    Attributes:
        name: the fault, as a clause after "as if".
    """

    name: str

    def applies(self, lstm: IsolatedLSTM) -> bool:
        """Whether the fault changes an LSTM of this kind."""
        return True

    @abc.abstractmethod
    def answer(self, lstm: IsolatedLSTM) -> LSTMAnswer:
        """Return the answer of a reference with this fault."""


class ChangedProblem(Hypothesis):
    """A fault that is the right computation of a changed problem."""

    @abc.abstractmethod
    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        """Return the changed problem."""

    def answer(self, lstm: IsolatedLSTM) -> LSTMAnswer:
        return reference_answer(self.change(lstm))


class MaskIgnored(ChangedProblem):
    """The mask is ignored."""

    name = "the mask were ignored"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.mask is not None

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        return dataclasses.replace(lstm, mask=None)


class MaskReversed(ChangedProblem):
    """The mask is reversed in time."""

    name = "the mask were reversed in time"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.mask is not None

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        assert lstm.mask is not None
        return dataclasses.replace(lstm, mask=lstm.mask[:, ::-1])


@dataclasses.dataclass(frozen=True)
class ZeroOutputForMask(ChangedProblem):
    """The option `zero_output_for_mask` has the other value."""

    value: bool

    @property
    def name(self) -> str:  # type: ignore[override]
        """The fault."""
        return f"zero_output_for_mask were {self.value}"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.mask is not None and lstm.layer.zero_output_for_mask != self.value

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        return dataclasses.replace(lstm, layer=dataclasses.replace(lstm.layer, zero_output_for_mask=self.value))


class InitialStateReturned(Hypothesis):
    """Masked timesteps at the beginning return the initial hidden state."""

    name = "the initial state were returned until the mask keeps a timestep"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.mask is not None

    def answer(self, lstm: IsolatedLSTM) -> LSTMAnswer:
        record = lstm.record
        assert lstm.mask is not None
        order = slice(None, None, -1 if lstm.layer.go_backwards else 1)
        begun = np.cumsum(lstm.mask[:, order], axis=1) > 0
        outputs = np.where(begun[..., None], record.sequence, record.hidden[0][:, None])
        output = outputs if lstm.layer.return_sequences else outputs[:, -1]
        return reference_answer(lstm)._replace(output=output)


class StartIgnored(ChangedProblem):
    """The initial state is ignored."""

    name = "the initial state were ignored"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.start is not None

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        return dataclasses.replace(lstm, start=None)


class StartExchanged(ChangedProblem):
    """Hidden and cell of the initial state are exchanged."""

    name = "hidden and cell of the initial state were exchanged"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.start is not None

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        assert lstm.start is not None
        return dataclasses.replace(lstm, start=State(*lstm.start[::-1]))


@dataclasses.dataclass(frozen=True)
class GoBackwards(ChangedProblem):
    """The option `go_backwards` has the other value."""

    value: bool

    @property
    def name(self) -> str:  # type: ignore[override]
        """The fault."""
        return f"go_backwards were {self.value}"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.layer.go_backwards != self.value

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        return dataclasses.replace(lstm, layer=dataclasses.replace(lstm.layer, go_backwards=self.value))


@dataclasses.dataclass(frozen=True)
class GatesExchanged(ChangedProblem):
    """The weights of two gates, given by their numbers, are exchanged."""

    first: int
    second: int

    @property
    def name(self) -> str:  # type: ignore[override]
        """The fault."""
        return f"gates {GATES[self.first]} and {GATES[self.second]} were exchanged"

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        order, units = list(range(4)), lstm.layer.units
        order[self.first], order[self.second] = self.second, self.first
        columns = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in order])
        return with_weights(lstm, {name: array[..., columns] for name, array in lstm.weights.items()})


class StatesExchanged(Hypothesis):
    """The returned hidden and cell states are exchanged."""

    name = "hidden and cell state were exchanged"

    def answer(self, lstm: IsolatedLSTM) -> LSTMAnswer:
        output, hidden, cell = reference_answer(lstm)
        return LSTMAnswer(output if lstm.layer.return_sequences else cell, cell, hidden)


class InputLate(ChangedProblem):
    """Each timestep gets the input of the timestep before, the first one zeros."""

    name = "each timestep took the input of the one before, and the first none"

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        inputs = np.roll(lstm.inputs, 1, axis=1)
        inputs[:, 0] = 0
        return dataclasses.replace(lstm, inputs=inputs)


class InputRolled(ChangedProblem):
    """Each timestep gets the input of the timestep before, the first one that of the last."""

    name = "each timestep took the input of the one before, and the first that of the last"

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        return dataclasses.replace(lstm, inputs=np.roll(lstm.inputs, 1, axis=1))


class BiasIgnored(ChangedProblem):
    """There is no bias."""

    name = "there were no bias"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.layer.use_bias

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        return with_weights(lstm, {**lstm.weights, "bias": 0 * lstm.weights["bias"]})


@dataclasses.dataclass(frozen=True)
class ForgetBias(ChangedProblem):
    """A constant is added to the bias of the forget gate."""

    added: float

    @property
    def name(self) -> str:  # type: ignore[override]
        """The fault."""
        return f"{self.added:+g} were added to the bias of gate f"

    def applies(self, lstm: IsolatedLSTM) -> bool:
        return lstm.layer.use_bias

    def change(self, lstm: IsolatedLSTM) -> IsolatedLSTM:
        forget = np.repeat([0.0, 1.0, 0.0, 0.0], lstm.layer.units)
        return with_weights(lstm, {**lstm.weights, "bias": lstm.weights["bias"] + self.added * forget})


HYPOTHESES: tuple[Hypothesis, ...] = (
    MaskIgnored(),
    MaskReversed(),
    ZeroOutputForMask(True),
    ZeroOutputForMask(False),
    InitialStateReturned(),
    StartIgnored(),
    StartExchanged(),
    GoBackwards(True),
    GoBackwards(False),
    *(GatesExchanged(first, second) for first, second in combinations(range(4), 2)),
    StatesExchanged(),
    InputLate(),
    InputRolled(),
    BiasIgnored(),
    ForgetBias(-1.0),
    ForgetBias(1.0),
)


def confirmed(lstm: IsolatedLSTM) -> tuple[Hypothesis, ...]:
    """Return the hypotheses that reproduce the engine's answer on the full sequence."""
    answer = lstm.run(lstm.timesteps)
    actual = LSTMAnswer(answer.outputs[0], *answer.states["lstm"])

    def reproduces(hypothesis: Hypothesis) -> bool:
        return all(
            engine.shape == faulty.shape and not lstm.sides.differs(engine, faulty).any()
            for engine, faulty in zip(actual, hypothesis.answer(lstm), strict=True)
        )

    return tuple(hypothesis for hypothesis in HYPOTHESES if hypothesis.applies(lstm) and reproduces(hypothesis))


def reference_answer(lstm: IsolatedLSTM) -> LSTMAnswer:
    """Return the reference's answer on the full sequence."""
    record = lstm.record
    output = record.sequence if lstm.layer.return_sequences else record.outputs[-1]
    return LSTMAnswer(output, record.hidden[-1], record.cell[-1])


def with_weights(lstm: IsolatedLSTM, weights: Mapping[str, Array]) -> IsolatedLSTM:
    """Return the LSTM with other weights."""
    return dataclasses.replace(lstm, weights=weights)
