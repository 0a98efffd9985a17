"""The arrays of a converted module by name, and the way back to Keras's weights: what all targets share."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.spec import GRU, Bidirectional, Graph, TimeDistributed
from multilstm.spec.arrays import Array, as_array, by_name
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent

__all__ = ["AbstractState", "directions_of", "exchanged_gates"]


class AbstractState(abc.ABC):
    """The arrays of one module, in both directions.

    A name is the path of a layer's module, a dot, and the path of the array in it.
    """

    def __init__(self, spec: Graph, attributes: Mapping[str, str]) -> None:
        self._spec, self._attributes = spec, attributes

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attribute of the module's class by layer."""
        return self._attributes

    @abc.abstractmethod
    def of_layer(self, layer: Layer, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the arrays of a layer's module, from those of Keras by their own names.

        Args:
            layer: the layer; for a TimeDistributed, the layer inside.
            weights: by name, such as `kernel` or `forward/kernel`.
            gradients: whether the arrays are gradients, or optimizer slots, of the trained weights.
        """

    @abc.abstractmethod
    def to_layer(self, layer: Layer, arrays: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the inverse of `of_layer`."""

    def full_name(self, attribute: str, name: str) -> str:
        """Return the name of an array in the module."""
        return f"{attribute}.{name}"

    def is_statistic(self, name: str) -> bool:
        """Whether an array is not trained."""
        return False

    def is_counter(self, name: str) -> bool:
        """Whether an array has no counterpart in Keras."""
        return False

    def to_target(self, weights: Mapping[str, Array], *, gradients: bool = False) -> dict[str, Array]:
        """Return the arrays of the module.

        Args:
            weights: every weight by `layer/weight`, in Keras's layout; with `gradients`, the trained ones suffice.
            gradients: whether the arrays are gradients, or optimizer slots, of the trained weights.
        """
        arrays: dict[str, Array] = {}
        for layer in self._attributes:
            if own := {name.removeprefix(f"{layer}/"): weights[name] for name in self._weights(layer, weights)}:
                converted = self.of_layer(self._inner(layer), own, gradients)
                arrays |= {self._name(layer, name): np.ascontiguousarray(array) for name, array in converted.items()}
        return arrays

    def to_keras(self, arrays: Mapping[str, Array], *, gradients: bool = False) -> dict[str, Array]:
        """Return every weight by `layer/weight` in Keras's layout: the inverse of `to_target`.

        With `gradients`, those of weights that are not trained are left out.

        Raises:
            InputError: for missing or unknown names, or other shapes than those of the module.
        """
        given = {name: as_array(f"array {name!r}", array) for name, array in by_name("state", arrays).items()}
        places = self._places(gradients)
        self._check(given, {name: shape for name, (_, _, shape) in places.items()})
        weights: dict[str, Array] = {}
        for layer in self._attributes:
            own = {name: given[full] for full, (owner, name, _) in places.items() if owner == layer}
            if own:
                converted = self.to_layer(self._inner(layer), own, gradients)
                weights |= {f"{layer}/{name}": np.ascontiguousarray(array) for name, array in converted.items()}
        return {
            name: weights[name] for name in (self._spec.trainable_weights if gradients else self._spec.weight_shapes)
        }

    def owners(self) -> dict[str, str]:
        """Return the layer of every array that has a counterpart in Keras, by its full name."""
        return {name: layer for name, (layer, _, _) in self._places(gradients=False).items()}

    def _places(self, gradients: bool) -> dict[str, tuple[str, str, tuple[int, ...]]]:
        """Return the layer, the name in its module and the shape of every array by its full name."""
        zeros = {name: np.zeros(shape, np.float32) for name, shape in self._spec.weight_shapes.items()}
        places = {}
        for layer in self._attributes:
            own = {name.removeprefix(f"{layer}/"): zeros[name] for name in self._weights(layer, zeros)}
            converted = self.of_layer(self._inner(layer), own, gradients) if own else {}
            for name, array in converted.items():
                if not self.is_counter(name) and not (gradients and self.is_statistic(name)):
                    places[self._name(layer, name)] = layer, name, array.shape
        return places

    def _check(self, arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
        unknown = sorted(name for name in set(arrays) - set(shapes) if not self.is_counter(name))
        missing = sorted(set(shapes) - set(arrays))
        if unknown or missing:
            raise InputError(
                f"the state dict is not that of the model; missing: {listed(map(shown, missing)) or 'none'}; unknown: "
                f"{listed(map(shown, unknown)) or 'none'}"
            )
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise InputError(
                    f"the state dict holds {shown(name)} with the shape {arrays[name].shape}, expected {shape}"
                )

    def _weights(self, layer: str, weights: Mapping[str, Array]) -> list[str]:
        return [name for name in self._spec.weight_shapes if name.split("/")[0] == layer and name in weights]

    def _inner(self, name: str) -> Layer:
        layer = self._spec.layer(name)
        return layer.layer if isinstance(layer, TimeDistributed) else layer

    def _name(self, layer: str, name: str) -> str:
        return self.full_name(self._attributes[layer], name)


def directions_of(layer: Layer) -> tuple[str, ...]:
    """Return the beginnings of the names of a recurrent layer's weights, by direction."""
    return ("forward/", "backward/") if isinstance(layer, Bidirectional) else ("",)


def exchanged_gates(layer: Recurrent, array: Array) -> Array:
    """Exchange the first two of a GRU's three gates along the last axis: Keras's order is z, r, h, others' r, z, n."""
    if not isinstance(layer, GRU):
        return array
    first, second, third = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, third], axis=-1)
