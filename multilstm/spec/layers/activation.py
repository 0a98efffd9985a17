"""Activations as layers, with their arguments: ReLU, LeakyReLU, PReLU, ELU, Softmax."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from multilstm.errors import InputError, SpecError, shown
from multilstm.spec.arguments import Argument, ArgumentError, is_integer, is_real
from multilstm.spec.initializer_names import BiasInitializer
from multilstm.spec.layer_base import Layer
from multilstm.spec.penalties import AnyConstraint, AnyRegularizer
from multilstm.spec.shapes import Shape, show
from multilstm.spec.sizes import RANK_LIMIT, Axis, NonNegative, NonNegativeOrNone, Tuple, axis_of

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


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


def _check_shared_axes(name: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    axes = (value,) if is_integer(value) else value
    if not isinstance(axes, (list, tuple)) or not all(is_integer(axis) and 1 <= axis < RANK_LIMIT for axis in axes):
        raise ArgumentError(f"{name} must be numbers of axes, from 1, or None, got {shown(value)}")
    return tuple(map(int, axes))


@dataclasses.dataclass(frozen=True)
class PReLU(Layer):
    """`x` above 0, and `alpha * x` elsewhere (He et al. 2015, https://arxiv.org/abs/1502.01852).

    `alpha` has the shape of the input without the batch, with size 1 along the `shared_axes`, which count from 1. At 0,
    the derivative is 0, as in Keras.
    """

    alpha_initializer: BiasInitializer = "zeros"
    alpha_regularizer: AnyRegularizer = None
    alpha_constraint: AnyConstraint = None
    shared_axes: Annotated[Any, Tuple(_check_shared_axes)] = None

    @property
    def behaviour(self) -> tuple[str, ...]:
        return ("slope alpha below 0",)

    @property
    def mixes_timesteps(self) -> bool:
        """Whether timesteps have slopes of their own."""
        return 1 not in (self.shared_axes or ())

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        sizes = self._sizes(inputs)
        for name in ("alpha_regularizer", "alpha_constraint"):
            function = getattr(self, name)
            if function is not None:
                try:
                    function.check_rank(name, len(sizes))
                except ArgumentError as reason:
                    raise SpecError(f"{self.label}: {reason}") from None
        return (inputs,)

    def _sizes(self, inputs: Shape) -> tuple[int, ...]:
        axes = [axis_of(self.label, axis, inputs) for axis in self.shared_axes or ()]
        sizes = [1 if axis in axes else size for axis, size in enumerate(inputs)][1:]
        if None in sizes:
            raise SpecError(
                f"{self.label}: an axis with a slope for each of its elements may not vary; given shape "
                f"{show(inputs)}; fix it, or share it with shared_axes=(1,)"
            )
        return tuple(size for size in sizes if size is not None)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return {"alpha": self._sizes(inputs)}

    def parameter_formula(self, inputs: Shape) -> str:
        return f"sizes of alpha = {'*'.join(map(str, self._sizes(inputs)))}"


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
