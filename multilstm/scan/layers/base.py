"""The contract of a layer without a state: `apply` takes a call, and returns its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import NamedTuple

import jax
import jax.numpy as jnp

from multilstm.errors import InputError, UnsupportedError
from multilstm.scan.batch import Arrays
from multilstm.spec import Layer


class Given(NamedTuple):
    """Arguments of one call of a layer.

    Attributes:
        name: the layer's name, the beginning of the names of its weights.
        inputs: its input arrays, `[batch, ...]`.
        masks: the mask `[batch, timesteps]` of each input, or None.
        weights: all weights of the model by `layer/weight`.
        dropout: all dropout masks of the model by name; empty outside of training.
        cast: returns an array of floats in the dtype of computation.
        custom_gradient: as in `ScanModel`.
        training: whether gradients are computed.
        statistics: the new statistics of all layers by `layer/weight`; a layer adds its own in training.
    """

    name: str
    inputs: Sequence[jax.Array]
    masks: Sequence[jax.Array | None]
    weights: Arrays
    dropout: Arrays
    cast: Callable[[jax.Array], jax.Array]
    custom_gradient: bool
    training: bool
    statistics: dict[str, jax.Array]

    @property
    def input(self) -> jax.Array:
        """The first input."""
        return self.inputs[0]

    def weight(self, name: str) -> jax.Array:
        """Return a weight of the layer, in the dtype of computation."""
        return self.cast(self.weights[f"{self.name}/{name}"])

    def dropped(self, shape: tuple[int, ...]) -> jax.Array:
        """Return the input times the layer's dropout mask of that shape; the input without a mask."""
        mask = self.mask(shape)
        return self.input if mask is None else self.input * mask

    def mask(self, shape: tuple[int, ...]) -> jax.Array | None:
        """Return the dropout mask or the noise of the layer, of that shape, in the dtype of computation; or None."""
        if self.name not in self.dropout:
            return None
        mask = self.dropout[self.name]
        if jnp.shape(mask) != shape:
            meaning = "the shape of its input" if shape == self.input.shape else "one for all of them"
            raise InputError(f"dropout mask {self.name!r}: shape is {jnp.shape(mask)}, expected {shape}: {meaning}")
        return self.cast(mask)


@singledispatch
def apply(layer: Layer, given: Given) -> jax.Array:
    """Compute one call of `layer`.

    Raises:
        UnsupportedError: for a layer that `multilstm.scan` does not compute.
    """
    raise UnsupportedError(f"multilstm.scan: it does not compute {layer.label}; leave the engine jax-scan out")
