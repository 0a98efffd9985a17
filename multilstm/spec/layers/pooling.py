"""Pooling over windows of timesteps, and over all of them. As in Keras, no mask passes through."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.spec.arguments import Flag, one_of
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, check_rank
from multilstm.spec.sizes import DataFormat, sizes, window_count

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "MaxPooling1D",
    "MaxPooling2D",
]

AXES = {1: "[batch, timesteps, features]", 2: "[batch, rows, columns, channels]"}
Window1D = Annotated[Any, sizes(1)]  # one integer, or a tuple of it; kept as a tuple
Strides1D = Annotated[Any, sizes(1, optional=True)]
Window2D = Annotated[Any, sizes(2)]
Strides2D = Annotated[Any, sizes(2, optional=True)]
Padding = Annotated[str, one_of("valid", "same")]


@dataclasses.dataclass(frozen=True)
class _Unmasked(Layer):
    """A layer that reads several timesteps at once, and drops the mask of its input."""

    @property
    def mixes_timesteps(self) -> bool:
        return True

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None: Keras drops the mask."""
        return None


@dataclasses.dataclass(frozen=True)
class _Pooling(_Unmasked):
    """One number for each window of `pool_size`, the windows `strides` apart; strides of None are `pool_size`."""

    pool_size: Any
    strides: Any
    padding: Padding

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strides is None:
            object.__setattr__(self, "strides", self.pool_size)

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"windows of {_times(self.pool_size)}, {_times(self.strides)} apart, padding {self.padding}",)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        axes = len(self.pool_size)
        check_rank(self.label, inputs, axes + 2, AXES[axes])
        counts = window_count(self.label, inputs, self.pool_size, self.strides, self.padding)
        return ((inputs[0], *counts, inputs[-1]),)


def _times(window: Sequence[int]) -> str:
    return "x".join(map(str, window))


@dataclasses.dataclass(frozen=True)
class MaxPooling1D(_Pooling):
    """The largest number of each window of timesteps; with padding `same`, of the timesteps that exist."""

    pool_size: Window1D = (2,)
    strides: Strides1D = None
    padding: Padding = "valid"
    data_format: DataFormat = None


@dataclasses.dataclass(frozen=True)
class AveragePooling1D(_Pooling):
    """The mean of each window of timesteps; with padding `same`, of the timesteps that exist."""

    pool_size: Window1D = (2,)
    strides: Strides1D = None
    padding: Padding = "valid"
    data_format: DataFormat = None


@dataclasses.dataclass(frozen=True)
class _GlobalPooling(_Unmasked):
    """One number for each feature, `[batch, features]`; with `keepdims` the pooled axes stay, of size 1."""

    pooled_axes: ClassVar[int] = 1

    data_format: DataFormat = None
    keepdims: Flag = False

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        check_rank(self.label, inputs, self.pooled_axes + 2, AXES[self.pooled_axes])
        kept = (1,) * self.pooled_axes if self.keepdims else ()
        return ((inputs[0], *kept, inputs[-1]),)


@dataclasses.dataclass(frozen=True)
class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over the timesteps that the mask keeps."""


@dataclasses.dataclass(frozen=True)
class GlobalMaxPooling1D(_GlobalPooling):
    """The largest number of each feature over all timesteps, masked ones included, as in Keras."""


@dataclasses.dataclass(frozen=True)
class MaxPooling2D(_Pooling):
    """The largest number of each window of `[batch, rows, columns, channels]`."""

    pool_size: Window2D = (2, 2)
    strides: Strides2D = None
    padding: Padding = "valid"
    data_format: DataFormat = None


@dataclasses.dataclass(frozen=True)
class AveragePooling2D(_Pooling):
    """The mean of each window of `[batch, rows, columns, channels]`; padding `same` is left out."""

    pool_size: Window2D = (2, 2)
    strides: Strides2D = None
    padding: Padding = "valid"
    data_format: DataFormat = None


@dataclasses.dataclass(frozen=True)
class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel over rows and columns, without regard to a mask."""

    pooled_axes: ClassVar = 2


@dataclasses.dataclass(frozen=True)
class GlobalMaxPooling2D(_GlobalPooling):
    """The largest number of each channel over rows and columns."""

    pooled_axes: ClassVar = 2
