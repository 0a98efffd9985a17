"""Places: the tensors of a model that is drawn, with the sizes and the mask that the next layer must fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from multilstm.spec import Input, Layer, Tensor
from multilstm.spec.arrays import Array
from multilstm.spec.shapes import Shape, closed

__all__ = ["Place", "Setting", "inside", "source"]


class Setting(NamedTuple):
    """Decisions that hold for a whole model.

    Attributes:
        batch: the number of sequences.
        timesteps: the number of timesteps.
        fixed: whether inputs fix the number of timesteps.
        stateful: whether layers may be stateful, so that inputs fix the number of sequences.
        trained: whether gradients are computed, in which dropout and regularizers act.
        masked: whether a mask may be passed with an input.
    """

    batch: int
    timesteps: int
    fixed: bool = False
    stateful: bool = False
    trained: bool = False
    masked: bool = False


class Place(NamedTuple):
    """A tensor of a model.

    Attributes:
        tensor: the symbolic tensor.
        shape: its shape, the batch included; None may vary.
        zeros: an array of the sizes that it has in the sample.
        mask: a mask `[batch, timesteps]`; None if no mask arrives here.
    """

    tensor: Tensor
    shape: Shape
    zeros: Array
    mask: Array | None

    @property
    def rank(self) -> int:
        """The number of axes, the batch included."""
        return len(self.shape)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes in the sample."""
        return self.zeros.shape

    @property
    def is_fixed(self) -> bool:
        """Whether no axis but the batch may vary."""
        return None not in self.shape[1:]

    def then(self, layer: Layer, *others: Place, states: Sequence[Place] = ()) -> list[Place]:
        """Return the outputs of a layer behind this place and others."""
        places = (self, *others)
        returned = layer([place.tensor for place in places], [state.tensor for state in states] or None)
        tensors = [returned] if isinstance(returned, Tensor) else returned
        shapes = layer.output_shapes(*(place.shape for place in places))
        zeros = [np.zeros(closed(sizes)) for sizes in layer.output_shapes(*(place.sizes for place in places))]
        mask: Any = layer.output_mask([place.zeros for place in places], [place.mask for place in places])
        masks = [mask if number < layer.masked_outputs else None for number in range(len(tensors))]
        return [Place(*values) for values in zip(tensors, shapes, zeros, masks, strict=True)]


def source(setting: Setting, shape: Sequence[int], dtype: str = "float32", open_: bool = True) -> Place:
    """Return the place of a new input.

    Args:
        setting: the decisions for the model.
        shape: the sizes in the sample, without the batch.
        dtype: of the input.
        open_: whether the first axis is that of timesteps, whose number may vary.
    """
    batch = setting.batch if setting.stateful else None
    first = None if open_ and not setting.fixed else shape[0]
    tensor = Input((first, *shape[1:]), batch, dtype)
    masked = setting.masked and open_ and len(shape) == 2
    mask = np.ones((setting.batch, shape[0]), bool) if masked else None
    return Place(tensor, (batch, first, *shape[1:]), np.zeros((setting.batch, *shape)), mask)


def inside(place: Place) -> Place:
    """Return one timestep of a place, which the layer inside of a TimeDistributed gets."""
    return Place(place.tensor, (place.shape[0], *place.shape[2:]), place.zeros[:, 0], None)
