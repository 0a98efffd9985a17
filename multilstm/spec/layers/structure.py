"""Layers that only move numbers: RepeatVector and Concatenate."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Annotated, Any

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import Argument, ArgumentError, Size
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, check_rank, features, show

__all__ = ["Concatenate", "RepeatVector"]


@dataclasses.dataclass(frozen=True)
class RepeatVector(Layer):
    """`[batch, features]` to `[batch, n, features]`."""

    n: Size

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, 2, "[batch, features]")
        return ((inputs[0], self.n, inputs[1]),)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None: the mask of other timesteps means nothing for the copies."""
        return None


def _check_last_axis(name: str, value: Any) -> Any:
    if value != -1:
        raise ArgumentError(f"only the last axis is executed; given {name}={shown(value)}, expected -1")
    return value


@dataclasses.dataclass(frozen=True)
class Concatenate(Layer):
    """Joins several tensors along their last axis."""

    axis: Annotated[int, Argument(_check_last_axis)] = -1

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        if len(inputs) < 2:
            raise SpecError(f"{self.label}: expected at least two inputs, given {len(inputs)}")
        first = inputs[0]
        for other in inputs[1:]:
            fits = len(other) == len(first) and all(
                None in pair or pair[0] == pair[1] for pair in zip(other[:-1], first[:-1], strict=True)
            )
            if not fits:
                raise SpecError(f"{self.label}: shapes differ before the last axis: {show(first)} and {show(other)}")
        return ((*first[:-1], sum(features(self.label, shape) for shape in inputs)),)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return the mask of the timesteps that any input keeps; an input without a mask keeps all."""
        some = [mask for mask in masks if mask is not None]
        if not some:
            return None
        return functools.reduce(operator.or_, some) if len(some) == len(masks) else some[0] | True
