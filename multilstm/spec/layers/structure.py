"""Layers that only move numbers: Flatten, Reshape, Permute, GetItem, RepeatVector, UpSampling1D, paddings, croppings.

As in Keras, each of them drops the mask of its input.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import ArgumentError, Size, is_integer
from multilstm.spec.keys import Key, index_of, key_text, part_shape
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, check_rank, show
from multilstm.spec.sizes import DataFormat, Tuple, pair, target_shape

__all__ = [
    "Cropping1D",
    "Flatten",
    "GetItem",
    "Permute",
    "RepeatVector",
    "Reshape",
    "UpSampling1D",
    "ZeroPadding1D",
    "ZeroPadding2D",
]


@dataclasses.dataclass(frozen=True)
class _Structure(Layer):
    """A layer that moves timesteps, so that the mask of its input means nothing for its output."""

    moves_values: ClassVar = True

    @property
    def mixes_timesteps(self) -> bool:
        return True

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None: Keras drops the mask."""
        return None


@dataclasses.dataclass(frozen=True)
class Flatten(_Structure):
    """`[batch, ...]` to `[batch, product of the other sizes]`; `[batch]` to `[batch, 1]`."""

    data_format: DataFormat = None

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        return ((inputs[0], None if None in inputs[1:] else math.prod(size or 0 for size in inputs[1:])),)


@dataclasses.dataclass(frozen=True)
class Reshape(_Structure):
    """`[batch, ...]` to `[batch, *target_shape]`; one size may be -1, which takes what is left."""

    target_shape: Annotated[Shape, Tuple(target_shape)]

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        known = math.prod(size for size in self.target_shape if size not in (-1, None))
        if None in inputs[1:]:
            return ((inputs[0], *(None if size == -1 else size for size in self.target_shape)),)
        total = math.prod(size or 0 for size in inputs[1:])
        if total % known or (total != known and -1 not in self.target_shape):
            raise SpecError(
                f"{self.label}: target_shape {show(self.target_shape)} does not hold the {total} numbers of each "
                f"sequence of an input {show(inputs)}"
            )
        return ((inputs[0], *(total // known if size == -1 else size for size in self.target_shape)),)


def _check_permutation(name: str, value: Any) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not given or not all(map(is_integer, given)) or sorted(given) != list(range(1, len(given) + 1)):
        raise ArgumentError(f"{name} must be a permutation of 1, 2, ... such as (2, 1), got {shown(value)}")
    return tuple(map(int, given))


@dataclasses.dataclass(frozen=True)
class Permute(_Structure):
    """Orders the axes after the batch by `dims`, which count from 1: `(2, 1)` exchanges timesteps and features."""

    dims: Annotated[tuple[int, ...], Tuple(_check_permutation)]

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, len(self.dims) + 1, f"of {len(self.dims) + 1} axes, one more than dims")
        return ((inputs[0], *(inputs[axis] for axis in self.dims)),)


@dataclasses.dataclass(frozen=True)
class RepeatVector(_Structure):
    """`[batch, features]` to `[batch, n, features]`."""

    n: Size

    @property
    def mixes_timesteps(self) -> bool:
        return False

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 2, "[batch, features]")
        return ((inputs[0], self.n, inputs[1]),)


@dataclasses.dataclass(frozen=True)
class _Timesteps(_Structure):
    """A layer that changes the number of timesteps of `[batch, timesteps, features]`."""

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 3, "[batch, timesteps, features]")
        timesteps = None if inputs[1] is None else self._timesteps(inputs[1])
        if timesteps is not None and timesteps < 1:
            raise SpecError(f"{self.label}: no timestep of an input {show(inputs)} is left; cut fewer")
        return ((inputs[0], timesteps, inputs[2]),)

    def _timesteps(self, given: int) -> int:
        """Return the number of timesteps of the output."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class ZeroPadding1D(_Timesteps):
    """Adds timesteps of zeros: `padding` is `(before, after)`, or one number for both."""

    padding: Annotated[Any, Tuple(pair)] = (1, 1)
    data_format: DataFormat = None

    def _timesteps(self, given: int) -> int:
        return given + int(sum(self.padding))


@dataclasses.dataclass(frozen=True)
class Cropping1D(_Timesteps):
    """Cuts timesteps off: `cropping` is `(at the start, at the end)`, or one number for both."""

    cropping: Annotated[Any, Tuple(pair)] = (1, 1)

    def _timesteps(self, given: int) -> int:
        return given - int(sum(self.cropping))


@dataclasses.dataclass(frozen=True)
class UpSampling1D(_Timesteps):
    """Repeats every timestep `size` times."""

    size: Size = 2

    def _timesteps(self, given: int) -> int:
        return given * self.size


def _check_pairs(name: str, value: Any) -> tuple[tuple[int, int], ...]:
    given = (value, value) if is_integer(value) else value
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        raise ArgumentError(f"{name} must be an integer, or one or two for each of two axes, got {shown(value)}")
    return tuple(pair(name, side) for side in given)


@dataclasses.dataclass(frozen=True)
class ZeroPadding2D(_Structure):
    """Adds rows and columns of zeros: `padding` is `((above, below), (left, right))`, one number an axis, or one."""

    padding: Annotated[Any, Tuple(_check_pairs)] = ((1, 1), (1, 1))
    data_format: DataFormat = None

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 4, "[batch, rows, columns, channels]")
        sizes = [
            None if size is None else size + sum(both) for size, both in zip(inputs[1:3], self.padding, strict=True)
        ]
        return ((inputs[0], *sizes, inputs[3]),)


@dataclasses.dataclass(frozen=True)
class GetItem(_Structure):
    """A part of its input: `GetItem((slice(None), -1))(h)` is the operation `h[:, -1]` of Keras.

    Items are integers, slices with steps of at least 1, None for a new axis of size 1, and `...`. The batch is taken
    whole. Keras holds it in functional models alone, as an operation and not as a layer.
    """

    refused: ClassVar = ("trainable",)

    key: Key

    @property
    def index(self) -> tuple[Any, ...]:
        """The key as arrays take it."""
        return index_of(self.key)

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"the part {key_text(self.key)} of its input",)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        return (part_shape(self.label, self.key, inputs),)
