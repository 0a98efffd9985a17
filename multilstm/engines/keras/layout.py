"""Names of the arrays that go into a Keras model and come out of it.

Keras takes and returns flat lists. `OutputLayout` is made once with the model and gives each array of a list its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from multilstm.jobs.job import Answer
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array


def state_input(name: str, field: str) -> str:
    """Return the name of the model's input for one array of a recurrent layer's initial state.

    Args:
        name: name of the layer in `Graph.recurrent`.
        field: `hidden` or `cell`.
    """
    return f"{name.replace('/', '.')}.{field}"


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
        sequences: the recurrent layers whose return value is an output of the Keras model, after the spec's outputs.
        states: the recurrent layers whose final states are the last outputs.
        weights: the trained weights as `layer/weight`.
        sources: the inputs with respect to which the loss is differentiated, by the names of the Keras model.
        given_states: the recurrent layers whose initial states are inputs of the Keras model.
    """

    spec: Graph
    sequences: tuple[str, ...]
    states: tuple[str, ...]
    weights: tuple[str, ...]
    sources: tuple[str, ...]
    given_states: tuple[str, ...]

    def read(self, flat: FlatAnswer, carried: Mapping[str, AnyState]) -> Answer:
        """Return the answer of one step.

        Args:
            flat: the arrays of the step.
            carried: the final states of the stateful layers, which Keras keeps in variables.
        """
        first = len(self.spec.outputs)
        last = first + len(self.sequences)
        returned = dict(zip(self.sequences, flat.outputs[first:last], strict=True))
        states = {**self._states(flat.outputs[last:]), **carried}
        whole = {name for name, layer in self.spec.recurrent.items() if layer.return_sequences}
        answer = Answer(
            loss=flat.loss,
            outputs=tuple(flat.outputs[:first]),
            sequences={name: array for name, array in returned.items() if name in whole},
            last_outputs={name: array for name, array in returned.items() if name not in whole},
            states={name: states[name] for name in self.spec.recurrent},
        )
        return answer if flat.gradients is None else self._with_gradients(answer, flat.gradients)

    def _states(self, arrays: list[Array]) -> dict[str, AnyState]:
        """Return the last outputs as states by name."""
        states: dict[str, AnyState] = {}
        for name in self.states:
            layer = self.spec.recurrent[name]
            states[name] = layer.state_type._make(arrays[: layer.state_count])
            arrays = arrays[layer.state_count :]
        return states

    def _with_gradients(self, answer: Answer, gradients: list[Array]) -> Answer:
        """Return the answer with the gradients by name."""
        named = dict(zip((*self.weights, *self.sources), gradients, strict=True))
        return dataclasses.replace(
            answer,
            gradients={name: named[name] for name in self.weights},
            input_gradients={name: named[name] for name in self.spec.inputs if name in self.sources},
            state_gradients={
                name: layer.state_type._make(named[state_input(name, field)] for field in layer.state_names)
                for name in self.given_states
                for layer in [self.spec.recurrent[name]]
            },
        )
