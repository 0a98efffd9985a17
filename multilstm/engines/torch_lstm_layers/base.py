"""The contract of a layer without a state in PyTorch: `apply` takes a call, and returns its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any, NamedTuple

from multilstm.errors import UnsupportedError
from multilstm.spec import Layer


class Given(NamedTuple):
    """Arguments of one call of a layer.

    Attributes:
        name: the layer's name, the beginning of the names of its weights.
        inputs: its inputs `[batch, ...]`, in the dtype of the weights; tokens of an Embedding as integers.
        masks: the mask `[batch, timesteps]` of each input, or None.
        weights: all weights of the model by `layer/weight`.
        dropout: the factors of all Dropout layers by their names; empty outside of training.
        training: whether gradients are computed.
        statistics: the new statistics of all layers by `layer/weight`; a layer adds its own in training.
    """

    name: str
    inputs: Sequence[Any]
    masks: Sequence[Any]
    weights: Mapping[str, Any]
    dropout: Mapping[str, Any]
    training: bool
    statistics: dict[str, Any]

    @property
    def input(self) -> Any:
        """The first input."""
        return self.inputs[0]

    def weight(self, name: str) -> Any:
        """Return a weight of the layer, in Keras's layout."""
        return self.weights[f"{self.name}/{name}"]


@singledispatch
def apply(layer: Layer, given: Given) -> Any:
    """Compute one call of `layer`.

    Raises:
        UnsupportedError: for a layer that this engine does not compute.
    """
    raise UnsupportedError(f"torch-lstm: it does not compute {layer.label}; leave the engine torch-lstm out")
