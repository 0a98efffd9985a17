"""Kinds of arguments that hold axes, or the sizes of windows, strides, paddings and shapes.

Keras's JSON holds several sizes as a list, and a spec holds them as a tuple. A single integer means the same size along
all axes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import SIZE_LIMIT, Argument, ArgumentError, is_integer, is_real, is_size_or_none
from multilstm.spec.json_values import as_scalar, refuse
from multilstm.spec.shapes import Shape, show

__all__ = [
    "RANK_LIMIT",
    "Axis",
    "DataFormat",
    "NonNegative",
    "NonNegativeOrNone",
    "Tuple",
    "axis_of",
    "pair",
    "sizes",
    "target_shape",
    "window_count",
]

RANK_LIMIT = 32  # axes of an array


@dataclasses.dataclass(frozen=True)
class Tuple(Argument):
    """An argument that may hold several values, which Keras's JSON holds as a list.

    Attributes:
        limit: the largest number of values in a list that is read; None: any.
    """

    limit: int | None = RANK_LIMIT

    def read(self, value: Any, where: str) -> Any:
        """Return lists as tuples, at any depth."""
        if not isinstance(value, (list, tuple)):
            return as_scalar(value, where)
        if self.limit is not None and len(value) > self.limit:
            refuse(where, f"{len(value)} values", f"at most {self.limit}")
        return tuple(self.read(item, where) for item in value)

    def write(self, value: Any) -> Any:
        """Return tuples as lists, at any depth."""
        return [self.write(item) for item in value] if isinstance(value, tuple) else value


def sizes(count: int, least: int = 1, optional: bool = False) -> Tuple:
    """Return the kind of an argument of `count` sizes, each at least `least`; one integer serves all of them.

    Args:
        count: the number of sizes.
        least: the smallest size.
        optional: whether None is accepted, and kept.
    """

    def check(name: str, value: Any) -> Any:
        if optional and value is None:
            return None
        given = (value,) * count if is_integer(value) else value
        fits = isinstance(given, (list, tuple)) and len(given) == count
        if not fits or not all(is_integer(size) and least <= size < SIZE_LIMIT for size in given):
            several = f", or {count} of them" if count > 1 else ""
            raise ArgumentError(f"{name} must be an integer from {least} to below 2**31{several}, got {shown(value)}")
        return tuple(map(int, given))

    return Tuple(check)


def pair(name: str, value: Any) -> tuple[int, int]:
    """Return two integers, 0 or above, for the two ends of an axis; one integer serves both."""
    checked: tuple[int, int] = sizes(2, 0).check(name, value)
    return checked


def target_shape(name: str, value: Any) -> Shape:
    """Return the shape that a Reshape makes, without the batch; at most one size is -1, or None."""
    try:
        given = tuple(value)
    except TypeError:
        given = (0,)
    valid = all(is_size_or_none(size) or (is_integer(size) and size == -1) for size in given)
    if not given or not valid or sum(size in (-1, None) for size in given) > 1:
        expected = "must be a tuple of positive integers, of which one may be -1"
        raise ArgumentError(f"{name} {expected}, got {shown(value)}")
    return tuple(-1 if size is None else int(size) for size in given)


def _check_axis(name: str, value: Any) -> int:
    if not is_integer(value) or not -RANK_LIMIT <= value < RANK_LIMIT:
        raise ArgumentError(f"{name} must be one integer, the number of an axis, got {shown(value)}")
    return int(value)


def axis_of(label: str, axis: int, shape: Shape, *, batch: bool = False) -> int:
    """Return an axis counted from the front.

    Args:
        label: the layer, as `Layer.label`.
        axis: the axis, negative if counted from the end.
        shape: the shape of the input, the batch included.
        batch: whether the axis of the batch, 0, is accepted.

    Raises:
        SpecError: for an axis that the input does not have, or that of the batch.
    """
    if not -len(shape) <= axis < len(shape) or (axis % len(shape) == 0 and not batch):
        first = "0" if batch else "1"
        raise SpecError(f"{label}: axis is {axis}; expected {first} to {len(shape) - 1} of the input {show(shape)}")
    return axis % len(shape)


def _check_data_format(name: str, value: Any) -> str:
    if value not in (None, "channels_last"):
        raise ArgumentError(
            f"{name} is {shown(value)}; multilstm executes 'channels_last' alone; move the channels to the last axis"
        )
    return "channels_last"


def _number(accepts: Callable[[Any], bool], expected: str) -> Argument:
    def check(name: str, value: Any) -> Any:
        if not accepts(value):
            raise ArgumentError(f"{name} must be {expected}, got {shown(value)}")
        return None if value is None else float(value)

    return Argument(check)


def _is_non_negative(value: Any) -> bool:
    return is_real(value) and value >= 0


Axis = Annotated[int, Argument(_check_axis)]
DataFormat = Annotated[str | None, Argument(_check_data_format)]  # None is `channels_last`
NonNegative = Annotated[float, _number(_is_non_negative, "a finite number, 0 or above")]
NonNegativeOrNone = Annotated[
    float | None,
    _number(lambda value: value is None or _is_non_negative(value), "a finite number, 0 or above, or None"),
]


def window_count(
    label: str, shape: Shape, window: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int] = ()
) -> Shape:
    """Return the number of windows along each axis of `shape` between the batch and the channels.

    Args:
        label: the layer, as `Layer.label`.
        shape: the shape of the input `[batch, ..., channels]`.
        window: the size of a window along each axis.
        strides: the distance between windows along each axis.
        padding: `valid`; or `same` or `causal`, which pad until each stride begins a window.
        dilation: the distance between the elements of a window; empty: 1.

    Raises:
        SpecError: for an axis that is shorter than its window.
    """
    counts: list[int | None] = []
    for index, size in enumerate(shape[1:-1]):
        width = (window[index] - 1) * (dilation[index] if dilation else 1) + 1
        if size is None:
            counts.append(None)
        elif padding != "valid":
            counts.append(math.ceil(size / strides[index]))
        elif size < width:
            raise SpecError(
                f"{label}: axis {index + 1} of the input {show(shape)} is shorter than a window of {width}; "
                f"give padding='same', or a smaller window"
            )
        else:
            counts.append((size - width) // strides[index] + 1)
    return tuple(counts)
