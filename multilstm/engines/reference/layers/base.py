"""The contract of a layer of the reference: `apply` takes a call, and returns its outputs with the way back.

A layer registers one function with `apply`. It computes the outputs, and a function `backward` that maps the gradients
of the outputs to those of inputs, weights and initial states. None is the gradient of an output that the loss does not
reach. A row of a batch without a gradient passes none on: a masked row may hold NaN, and zero times NaN would be NaN.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Set
from functools import singledispatch
from typing import Any

from multilstm.engines.reference.hidden_state import HiddenRecord
from multilstm.engines.reference.lstm import LSTMRecord
from multilstm.spec import Layer
from multilstm.spec.arrays import AnyState, Array

Maybe = Array | None
AnyRecord = LSTMRecord | HiddenRecord


@dataclasses.dataclass(frozen=True)
class Given:
    """Arguments of one call of a layer.

    Attributes:
        inputs: its input arrays, `[batch, ...]`.
        masks: the mask `[batch, timesteps]` of each input, or None.
        weights: its weights by name, without the layer's name.
        starts: the initial state of each of its recurrent layers, or None for zeros.
        dropout: its dropout masks in training, by name, without the layer's name; of a Dropout layer, by its name.
        faults: the names of faults to compute, see `multilstm.engines.reference.faults`.
        training: whether gradients are computed.
    """

    inputs: list[Array]
    masks: list[Maybe]
    weights: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    starts: tuple[AnyState | None, ...] = ()
    dropout: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    faults: Set[str] = frozenset()
    training: bool = False

    @property
    def mask(self) -> Maybe:
        """The mask of the first input, or None."""
        return self.masks[0]


@dataclasses.dataclass(frozen=True)
class Gradients:
    """Gradients of inputs and weights, and of the arrays of every initial state in turn.

    The gradient of a weight is an array, or a `RowGradient`.
    """

    inputs: list[Maybe]
    weights: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    states: tuple[Array, ...] = ()


@dataclasses.dataclass(frozen=True)
class Applied:
    """Outputs of one call of a layer, the way back, the records of its recurrent layers, and its new statistics."""

    outputs: list[Array]
    backward: Callable[[list[Maybe]], Gradients]
    records: tuple[AnyRecord, ...] = ()
    statistics: dict[str, Array] = dataclasses.field(default_factory=dict)


@singledispatch
def apply(layer: Layer, given: Given) -> Applied:
    """Compute one call of `layer`."""
    raise NotImplementedError(type(layer))


def mapped(output: Array, back: Callable[[Array], Array]) -> Applied:
    """Return the call of a layer with one input, one output and no weights.

    Args:
        output: the output.
        back: maps the gradient of the output to that of the input.
    """
    return Applied([output], lambda gradients: Gradients([back(present(gradients[0]))]))


def present(gradient: Maybe) -> Array:
    """Return the gradient of a layer's only output; `backward` is called only if one arrives."""
    assert gradient is not None
    return gradient


def within(arrays: Mapping[str, Array], layer: str) -> dict[str, Array]:
    """Return the arrays that belong to a layer: `layer/weight` by the name `weight`, and `layer` by its name."""
    return {
        name.removeprefix(f"{layer}/"): array for name, array in arrays.items() if f"{name}/".startswith(f"{layer}/")
    }


def reached_rows(gradient: Array) -> Array:
    """Return the rows of the last axis that a gradient reaches, boolean `[..., 1]`."""
    reached: Array = (gradient != 0).any(axis=-1, keepdims=True)
    return reached
