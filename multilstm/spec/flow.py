"""The shapes of symbolic tensors, and the tensors among them that may have a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multilstm.errors import InputError
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import GetItem, InputLayer
from multilstm.spec.shapes import Shape

__all__ = ["Flow"]


class Flow:
    """The shapes of symbolic tensors, and whether each of them may have a mask."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Shape, bool]] = {}
        self._parts: dict[tuple[int, int], Tensor] = {}

    def add(self, outputs: Sequence[Tensor]) -> None:
        """Take the outputs of a call; those of its inputs must be known.

        Raises:
            SpecError: for shapes that do not fit.
        """
        layer, inputs = outputs[0].layer, outputs[0].inputs
        shapes = layer.output_shapes(*map(self.shape, inputs))
        masked = self._passes_on(layer, inputs)
        for tensor, shape in zip(outputs, shapes, strict=True):
            self._known[_key(tensor)] = shape, masked and tensor.index < layer.masked_outputs

    def shape(self, tensor: Tensor) -> Shape:
        """Return the shape of a tensor."""
        return self._known[_key(tensor)][0]

    def unmasked(self, tensor: Tensor) -> Tensor:
        """Return the same tensor without a mask."""
        if not self._known[_key(tensor)][1]:
            return tensor
        if _key(tensor) not in self._parts:
            part = GetItem((Ellipsis,))(tensor)
            self.add([part])
            self._parts[_key(tensor)] = part
        return self._parts[_key(tensor)]

    def _passes_on(self, layer: Layer, inputs: Sequence[Tensor]) -> bool:
        """Whether the outputs of a call may have a mask; that of an input may be given with it."""
        if isinstance(layer, InputLayer):
            return True
        arrays = [np.zeros((1,) * len(self.shape(tensor))) for tensor in inputs]
        masks = [np.ones((1, 1), bool) if self._known[_key(tensor)][1] else None for tensor in inputs]
        try:
            return layer.output_mask(arrays, masks) is not None
        except InputError:  # of a mask that the input need not have; it is refused where it is given
            return False


def _key(tensor: Tensor) -> tuple[int, int]:
    return id(tensor.call), tensor.index
