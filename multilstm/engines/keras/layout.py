"""Names of the arrays that go into a Keras model and come out of it.

Keras takes and returns flat lists. `OutputLayout` is made once with the model and gives each array of a list its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from multilstm.jobs.job import Answer
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, State


def state_input(lstm: str, part: str) -> str:
    """Return the name of the model's input for one part of an LSTM's initial state.

    Args:
        lstm: name of the LSTM in `Graph.lstms`.
        part: `hidden` or `cell`.
    """
    return f"{lstm.replace('/', '.')}.{part}"


class Inputs(NamedTuple):
    """Arrays of one step, in the order of the Keras model's inputs and outputs.

    Attributes:
        values: one array for each input.
        masks: for each input its mask `[batch, timesteps]`, or None.
        targets: one array for each output of the spec; empty in a forward step.
    """

    values: list[Array]
    masks: list[Array | None]
    targets: list[Array]


class FlatAnswer(NamedTuple):
    """Arrays that one step returns, in the order of the Keras model's outputs and weights.

    Attributes:
        loss: the scalar loss; None in a forward step.
        outputs: one array for each output of the Keras model.
        gradients: one array for each trained weight, then for each source; None outside of a gradient step.
    """

    loss: float | None
    outputs: list[Array]
    gradients: list[Array] | None


@dataclasses.dataclass(frozen=True)
class OutputLayout:
    """Names of the arrays in a `FlatAnswer`.

    Attributes:
        spec: the model.
        sequences: the LSTM layers whose return value is an output of the Keras model, after the spec's own outputs.
        states: the LSTMs whose final hidden and cell states are the last outputs.
        weights: the trained weights as `layer/weight`.
        sources: the inputs with respect to which the loss is differentiated, by the names of the Keras model.
        given_states: the LSTMs whose initial states are inputs of the Keras model.
    """

    spec: Graph
    sequences: tuple[str, ...]
    states: tuple[str, ...]
    weights: tuple[str, ...]
    sources: tuple[str, ...]
    given_states: tuple[str, ...]

    def read(self, flat: FlatAnswer, carried: Mapping[str, State]) -> Answer:
        """Return the answer of one step.

        Args:
            flat: the arrays of the step.
            carried: the final states of the stateful LSTMs, which Keras keeps in variables.
        """
        first = len(self.spec.outputs)
        last = first + len(self.sequences)
        returned = dict(zip(self.sequences, flat.outputs[first:last], strict=True))
        hidden, cell = flat.outputs[last::2], flat.outputs[last + 1 :: 2]
        states = {name: State(*pair) for name, *pair in zip(self.states, hidden, cell, strict=True)} | dict(carried)
        whole = {name for name, lstm in self.spec.lstms.items() if lstm.return_sequences}
        answer = Answer(
            loss=flat.loss,
            outputs=tuple(flat.outputs[:first]),
            sequences={name: array for name, array in returned.items() if name in whole},
            last_outputs={name: array for name, array in returned.items() if name not in whole},
            states={name: states[name] for name in self.spec.lstms},
        )
        return answer if flat.gradients is None else self._with_gradients(answer, flat.gradients)

    def _with_gradients(self, answer: Answer, gradients: list[Array]) -> Answer:
        """Return the answer with the gradients by name."""
        named = dict(zip((*self.weights, *self.sources), gradients, strict=True))
        return dataclasses.replace(
            answer,
            gradients={name: named[name] for name in self.weights},
            input_gradients={name: named[name] for name in self.spec.inputs if name in self.sources},
            state_gradients={
                name: State(*(named[state_input(name, part)] for part in State._fields)) for name in self.given_states
            },
        )
