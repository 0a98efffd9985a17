"""Activations as layers, with their arguments: ReLU, LeakyReLU, ELU, Softmax."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from multilstm.errors import InputError, shown
from multilstm.spec.arguments import Argument, ArgumentError, is_real
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape
from multilstm.spec.sizes import Axis, NonNegative, NonNegativeOrNone, axis_of

__all__ = ["ELU", "LeakyReLU", "ReLU", "Softmax"]


@dataclasses.dataclass(frozen=True)
class ReLU(Layer):
    """`min(x, max_value)` above the threshold, and `negative_slope * (x - threshold)` elsewhere."""

    max_value: NonNegativeOrNone = None
    negative_slope: NonNegative = 0.0
    threshold: NonNegative = 0.0

    @property
    def behaviour(self) -> tuple[str, ...]:
        limit = "" if self.max_value is None else f", at most {self.max_value:.4g}"
        return (f"slope {self.negative_slope:.4g} up to {self.threshold:.4g}{limit}",)


@dataclasses.dataclass(frozen=True)
class LeakyReLU(Layer):
    """`x` above 0, and `negative_slope * x` elsewhere."""

    negative_slope: NonNegative = 0.3

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"slope {self.negative_slope:.4g} below 0",)


def _check_alpha(name: str, value: Any) -> float:
    if not is_real(value):
        raise ArgumentError(f"{name} must be a finite number, got {shown(value)}")
    return float(value)


@dataclasses.dataclass(frozen=True)
class ELU(Layer):
    """`x` above 0, and `alpha * (exp(x) - 1)` elsewhere (Clevert et al. 2016, https://arxiv.org/abs/1511.07289)."""

    alpha: Annotated[float, Argument(_check_alpha)] = 1.0

    @property
    def behaviour(self) -> tuple[str, ...]:
        return (f"alpha {self.alpha:.4g}",)


@dataclasses.dataclass(frozen=True)
class Softmax(Layer):
    """`exp(x) / sum(exp(x))` along one axis."""

    axis: Axis = -1

    @property
    def mixes_timesteps(self) -> bool:
        return self.axis != -1

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        axis_of(self.label, self.axis, inputs)
        return (inputs,)

    def output_mask(self, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
        """Return None without a mask.

        Raises:
            InputError: for a mask. Keras reads its axes as the last ones of the input, which are not the timesteps.
        """
        if masks[0] is not None:
            raise InputError(
                f"{self.label}: given a mask of timesteps, which Keras's Softmax reads as a mask of features; "
                f"use Activation('softmax'), which passes the mask on"
            )
        return None
