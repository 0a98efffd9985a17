"""Layers that merge several tensors: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import ArgumentError, Flag, is_integer
from multilstm.spec.arrays import namespace
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, show
from multilstm.spec.sizes import Axis, Tuple, axis_of

__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"]


@dataclasses.dataclass(frozen=True)
class _Merge(Layer):
    """A layer that merges tensors of one rank, element by element; a size of 1 is repeated.

    Class variables:
        inputs_at_most: the largest number of inputs; 0: any.
    """

    inputs_at_most: ClassVar[int] = 0

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        _check_count(self, inputs, self.inputs_at_most)
        return (functools.reduce(self._broadcast, inputs),)

    def _broadcast(self, first: Shape, other: Shape) -> Shape:
        fits = len(first) == len(other) and all(
            None in sizes or sizes[0] == sizes[1] or (axis and 1 in sizes)
            for axis, sizes in enumerate(zip(first, other, strict=True))
        )
        if not fits:
            raise SpecError(f"{self.label}: shapes do not fit each other: {show(first)} and {show(other)}")
        return tuple(
            larger if size == 1 else size if larger in (1, None) else larger
            for size, larger in zip(first, other, strict=True)
        )

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the timesteps that any input keeps; None if an input has no mask."""
        return None if any(mask is None for mask in masks) else functools.reduce(operator.or_, masks)


def _check_count(layer: Layer, inputs: Sequence[Shape], at_most: int = 0) -> None:
    if len(inputs) < 2 or (at_most and len(inputs) > at_most):
        expected = "at least two inputs" if not at_most else f"{at_most} inputs"
        raise SpecError(f"{layer.label}: expected {expected}, given {len(inputs)}")


@dataclasses.dataclass(frozen=True)
class Add(_Merge):
    """The sum of all inputs."""


@dataclasses.dataclass(frozen=True)
class Subtract(_Merge):
    """The first input minus the second."""

    inputs_at_most: ClassVar = 2


@dataclasses.dataclass(frozen=True)
class Multiply(_Merge):
    """The product of all inputs; a masked timestep counts as 1, and one that is masked in all inputs gives 0."""


@dataclasses.dataclass(frozen=True)
class Average(_Merge):
    """The mean of all inputs."""


@dataclasses.dataclass(frozen=True)
class Maximum(_Merge):
    """The largest of all inputs, element by element; of a masked timestep, the value of the inputs that keep it."""

    moves_values: ClassVar = True


@dataclasses.dataclass(frozen=True)
class Minimum(_Merge):
    """The smallest of all inputs, element by element; of a masked timestep, the value of the inputs that keep it."""

    moves_values: ClassVar = True


@dataclasses.dataclass(frozen=True)
class Concatenate(Layer):
    """Joins several tensors along one axis."""

    moves_values: ClassVar = True

    axis: Axis = -1

    @property
    def mixes_timesteps(self) -> bool:
        return self.axis != -1

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        _check_count(self, inputs)
        first = inputs[0]
        axis = axis_of(self.label, self.axis, first)
        for other in inputs[1:]:
            fits = len(other) == len(first) and all(
                None in pair or pair[0] == pair[1] or place == axis
                for place, pair in enumerate(zip(other, first, strict=True))
            )
            if not fits:
                rule = "before the last axis" if axis == len(first) - 1 else f"in another axis than {axis}"
                raise SpecError(f"{self.label}: shapes differ {rule}: {show(first)} and {show(other)}")
        joined = [shape[axis] for shape in inputs]
        size = None if None in joined else sum(size or 0 for size in joined)
        return ((*first[:axis], size, *first[axis + 1 :]),)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the timesteps that any input keeps; an input without a mask keeps all.

        Along the axis of timesteps the masks are joined as the inputs are.
        """
        some = [mask for mask in masks if mask is not None]
        if not some:
            return None
        if self.axis in (1, -2) and inputs[0].ndim == 3:
            every = [
                (array[..., 0] != array[..., 0]) | True if mask is None else mask
                for array, mask in zip(inputs, masks, strict=True)
            ]
            return namespace(every[0]).concatenate(every, axis=1)
        return functools.reduce(operator.or_, some) if len(some) == len(masks) else some[0] | True


def _check_axes(name: str, value: Any) -> int | tuple[int, int]:
    if is_integer(value):
        return int(value)
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(map(is_integer, value)):
        raise ArgumentError(f"{name} must be the number of an axis, or one for each of two inputs, got {shown(value)}")
    return int(value[0]), int(value[1])


@dataclasses.dataclass(frozen=True)
class Dot(Layer):
    """The sums of the products of two tensors along one axis of each, for each sequence of the batch.

    The output has the other axes of the first tensor, then those of the second. With `normalize`, each tensor is first
    divided by its length along its axis, which counts as at least 1e-7.
    """

    axes: Annotated[Any, Tuple(_check_axes)]
    normalize: Flag = False

    @property
    def mixes_timesteps(self) -> bool:
        return True

    def axes_of(self, first: Shape, other: Shape) -> tuple[int, int]:
        """Return the summed axis of each of two inputs, counted from the front."""
        given = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return axis_of(self.label, given[0], first), axis_of(self.label, given[1], other)

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        if len(inputs) != 2:
            raise SpecError(f"{self.label}: expected 2 inputs, given {len(inputs)}")
        first, other = inputs
        axis, other_axis = self.axes_of(first, other)
        if first[axis] != other[other_axis]:
            raise SpecError(
                f"{self.label}: axis {axis} of {show(first)} and axis {other_axis} of {show(other)} differ in size"
            )
        left = first[1:axis] + first[axis + 1 :] + other[1:other_axis] + other[other_axis + 1 :]
        return ((first[0] if first[0] is not None else other[0], *(left or (1,))),)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None: Keras drops the mask."""
        return None
