"""The tape of a forward pass of the reference, and the sums of gradients on the way back along it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from multilstm.spec import Call, Ref
from multilstm.spec.arrays import AnyState, Array, as_state

if TYPE_CHECKING:
    from multilstm.engines.reference.layers.base import Applied, Maybe

__all__ = ["GradientSums", "Taped"]


class Taped(NamedTuple):
    """One call on the tape.

    Attributes:
        position: of the call in the graph.
        call: the call.
        applied: its outputs and its way back.
        given: for each of its recurrent layers the name if its initial state was given or carried, else None.
    """

    position: int
    call: Call
    applied: Applied
    given: tuple[str | None, ...]


class GradientSums:
    """Gradients of the loss; those of a tensor, weight or state that is used several times add up.

    Attributes:
        tensors: by tensor of the graph; a tensor that the loss does not reach is missing.
        weights: by `layer/weight`; a weight that the loss does not reach is missing.
        states: by recurrent layer, for initial states that the batch gives.
    """

    def __init__(self, given_states: Mapping[str, AnyState]) -> None:
        self.tensors: dict[Ref, Array] = {}
        self.weights: dict[str, Any] = {}
        self.states = {
            name: as_state(*(np.zeros(np.shape(array)) for array in state)) for name, state in given_states.items()
        }

    def add(self, ref: Ref, gradient: Maybe) -> None:
        """Add a gradient of a tensor; None where the loss does not depend on it."""
        if gradient is not None:
            self.tensors[ref] = self.tensors[ref] + gradient if ref in self.tensors else gradient

    def add_of_weight(self, name: str, gradient: Any) -> None:
        """Add a gradient of a weight, an array or a `RowGradient`."""
        self.weights[name] = self.weights[name] + gradient if name in self.weights else gradient

    def go_back(self, taped: Taped) -> None:
        """Add the gradients of inputs, weights and initial states of one call, if any reach its outputs."""
        position, call, applied, given = taped
        arriving = [self.tensors.get(Ref(position, number)) for number in range(len(applied.outputs))]
        if all(gradient is None for gradient in arriving):
            return
        back = applied.backward(arriving)
        for ref, d_input in zip(call.inputs, back.inputs, strict=True):
            self.add(ref, d_input)
        for name, d_weight in back.weights.items():
            self.add_of_weight(f"{call.layer}/{name}", d_weight)
        for number, ref in enumerate(call.initial_state):
            if given[number * len(given) // len(call.initial_state)] is None:
                self.add(ref, back.states[number])
        for number, part in enumerate(given):
            if part in self.states:
                state = self.states[part]
                added = back.states[number * len(state) : (number + 1) * len(state)]
                self.states[part] = as_state(*map(operator.add, state, added))
