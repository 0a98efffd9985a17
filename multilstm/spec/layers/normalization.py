"""Normalizations, of a timestep, of a batch, of length 1, and with given moments."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar

import numpy as np

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import Argument, ArgumentError, Flag, is_integer, is_real
from multilstm.spec.initializer_names import BiasInitializer
from multilstm.spec.layer_base import Layer
from multilstm.spec.penalties import VectorConstraint, VectorRegularizer
from multilstm.spec.shapes import Shape, features, show
from multilstm.spec.sizes import Axis, Tuple, axis_of

__all__ = ["BatchNormalization", "LayerNormalization", "Normalization", "UnitNormalization"]


def _check_positive(name: str, value: Any) -> float:
    if not is_real(value) or value <= 0:
        raise ArgumentError(f"{name} must be a finite number above 0, got {shown(value)}")
    return float(value)


def _check_momentum(name: str, value: Any) -> float:
    if not is_real(value) or not 0 <= value <= 1:
        raise ArgumentError(f"{name} must be a number from 0 to 1, got {shown(value)}")
    return float(value)


def _check_axes(name: str, value: Any) -> int | tuple[int, ...]:
    axes = (value,) if is_integer(value) else value
    if not isinstance(axes, (list, tuple)) or not axes or not all(map(is_integer, axes)):
        raise ArgumentError(f"{name} must be the number of an axis, or a tuple of them, got {shown(value)}")
    return int(axes[0]) if len(axes) == 1 else tuple(map(int, axes))


Epsilon = Annotated[float, Argument(_check_positive)]


@dataclasses.dataclass(frozen=True)
class LayerNormalization(Layer):
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta`, over `axis` of each timestep by itself.

    `gamma` and `beta` have the sizes of these axes (Ba et al. 2016, https://arxiv.org/abs/1607.06450).
    """

    fixed: ClassVar = {**Layer.fixed, "rms_scaling": False}

    axis: Annotated[Any, Tuple(_check_axes)] = -1
    epsilon: Epsilon = 1e-3
    center: Flag = True
    scale: Flag = True
    beta_initializer: BiasInitializer = "zeros"
    gamma_initializer: BiasInitializer = "ones"
    beta_regularizer: VectorRegularizer = None
    gamma_regularizer: VectorRegularizer = None
    beta_constraint: VectorConstraint = None
    gamma_constraint: VectorConstraint = None

    @property
    def mixes_timesteps(self) -> bool:
        return bool(self.axis != -1)

    def axes(self, shape: Shape) -> tuple[int, ...]:
        """Return the normalized axes of an input, counted from the front, in order."""
        return _from_the_front(self, self.axis, shape)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        self._sizes(inputs)
        return (inputs,)

    def _sizes(self, inputs: Shape) -> tuple[int, ...]:
        sizes = [inputs[axis] for axis in self.axes(inputs)]
        if None in sizes:
            raise SpecError(f"{self.label}: the normalized axes may not vary; given shape {show(inputs)}; fix them")
        return tuple(size for size in sizes if size is not None)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        sizes = self._sizes(inputs)
        return {name: sizes for name, used in (("gamma", self.scale), ("beta", self.center)) if used}

    def parameter_formula(self, inputs: Shape) -> str:
        shapes = self.weight_shapes(inputs)
        size = "*".join(map(str, self._sizes(inputs)))
        return f"{' + '.join(['features'] * len(shapes))} = {' + '.join([size] * len(shapes))}" if shapes else ""


@dataclasses.dataclass(frozen=True)
class BatchNormalization(Layer):
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta` for each feature (https://arxiv.org/abs/1502.03167).

    In inference, mean and variance are the weights `moving_mean` and `moving_variance`. In training they are those of
    the batch, over all timesteps that the mask keeps. An update then sets
    `moving = momentum * moving + (1 - momentum) * batch`. With `trainable=False` the layer is always in inference.
    """

    refused: ClassVar = ("renorm", "renorm_clipping", "synchronized")
    ignored: ClassVar = (*Layer.ignored, "renorm_momentum")

    axis: Axis = -1
    momentum: Annotated[float, Argument(_check_momentum)] = 0.99
    epsilon: Epsilon = 1e-3
    center: Flag = True
    scale: Flag = True
    beta_initializer: BiasInitializer = "zeros"
    gamma_initializer: BiasInitializer = "ones"
    moving_mean_initializer: BiasInitializer = "zeros"
    moving_variance_initializer: BiasInitializer = "ones"
    beta_regularizer: VectorRegularizer = None
    gamma_regularizer: VectorRegularizer = None
    beta_constraint: VectorConstraint = None
    gamma_constraint: VectorConstraint = None
    renorm: Any = False
    renorm_clipping: Any = None
    synchronized: Any = False

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("moving_mean", "moving_variance")

    @property
    def mixes_timesteps(self) -> bool:
        return True

    @property
    def behaviour(self) -> tuple[str, ...]:
        if not self.trainable:
            return ("normalizes by its moving statistics",)
        return (f"in training, normalizes by the batch, and keeps moving statistics with momentum {self.momentum:.4g}",)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        features(self.label, inputs)
        if axis_of(self.label, self.axis, inputs) != len(inputs) - 1:
            raise SpecError(
                f"{self.label}: axis is {self.axis}; multilstm executes the last axis alone, of an input "
                f"{show(inputs)}; move the features there with Permute"
            )
        return (inputs,)

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        size = (features(self.label, inputs),)
        trained = {name: size for name, used in (("gamma", self.scale), ("beta", self.center)) if used}
        return {**trained, **dict.fromkeys(self.statistics, size)}

    def parameter_formula(self, inputs: Shape) -> str:
        return f"{len(self.weight_shapes(inputs))}*features = {len(self.weight_shapes(inputs))}*{inputs[-1]}"


@dataclasses.dataclass(frozen=True)
class UnitNormalization(Layer):
    """`x / max(sqrt(sum(x**2)), 1e-12)`, with the sum over `axis` of each timestep by itself."""

    axis: Annotated[Any, Tuple(_check_axes)] = -1

    @property
    def mixes_timesteps(self) -> bool:
        return bool(self.axis != -1)

    def axes(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of the sum, counted from the front, in order."""
        return _from_the_front(self, self.axis, shape)

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        self.axes(inputs)
        return (inputs,)


def _from_the_front(layer: Layer, axis: Any, shape: Shape) -> tuple[int, ...]:
    """Return one axis or several of a shape, counted from the front, in order."""
    given = (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(axis_of(layer.label, number, shape) for number in given))


def _check_kept(name: str, value: Any) -> int | tuple[int, ...]:
    return () if value in (None, (), []) else _check_axes(name, value)


def _check_moments(name: str, value: Any) -> Any:
    if value is None:
        return None
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.asarray(np.nan)
    if not array.size or not np.isfinite(array).all():
        raise ArgumentError(f"{name} must be finite numbers, in lists of one length, or None, got {shown(value)}")
    return _as_tuples(array.tolist())


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class Normalization(Layer):
    """`(x - mean) / max(sqrt(variance), 1e-7)` for each element of `axis`; its inverse with `invert`.

    Mean and variance are arguments. Without them they are weights, which Keras's `adapt` computes and no training
    changes. Keras's third weight, a counter of `adapt`, is left out.
    """

    mean_initializer: ClassVar[str] = "zeros"
    variance_initializer: ClassVar[str] = "ones"

    axis: Annotated[Any, Tuple(_check_kept)] = -1
    mean: Annotated[Any, Tuple(_check_moments, limit=None)] = None
    variance: Annotated[Any, Tuple(_check_moments, limit=None)] = None
    invert: Flag = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.shape(self.mean) != np.shape(self.variance) or (self.mean is None) != (self.variance is None):
            raise SpecError(
                f"Normalization: mean is {shown(self.mean)} and variance is {shown(self.variance)}; give both, of one "
                f"shape, or none"
            )

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("mean", "variance") if self.mean is None else ()

    @property
    def mixes_timesteps(self) -> bool:
        """Whether timesteps have moments of their own."""
        return bool(self.axis not in (-1, ()))

    def _output_shapes(self, inputs: Shape) -> tuple[Shape, ...]:
        sizes = self._sizes(inputs)
        try:
            np.broadcast_to(np.empty(np.shape(self.mean) if self.mean is not None else ()), sizes)
        except ValueError:
            raise SpecError(
                f"{self.label}: mean has the shape {show(np.shape(self.mean))}, expected that of axis, {show(sizes)}"
            ) from None
        return (inputs,)

    def _kept(self, inputs: Shape) -> tuple[int, ...]:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return tuple(sorted(axis_of(self.label, axis, inputs) for axis in axes))

    def _sizes(self, inputs: Shape) -> tuple[int, ...]:
        sizes = [inputs[axis] for axis in self._kept(inputs)]
        if None in sizes:
            raise SpecError(f"{self.label}: the axes of mean may not vary; given shape {show(inputs)}; fix them")
        return tuple(size for size in sizes if size is not None)

    def moments_shape(self, inputs: Shape) -> tuple[int, ...]:
        """Return the shape of mean and variance with sizes of 1 along the other axes of the input."""
        kept = self._kept(inputs)
        return tuple(int(size or 1) if axis in kept else 1 for axis, size in enumerate(inputs))

    def weight_shapes(self, inputs: Shape) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self.statistics, self._sizes(inputs))

    def parameter_formula(self, inputs: Shape) -> str:
        return f"2*sizes of axis = 2*{'*'.join(map(str, self._sizes(inputs))) or 1}" if self.statistics else ""

    def moments(self, inputs: Shape, weights: Any) -> list[Any]:
        """Return mean and variance, arrays that broadcast to the input.

        Args:
            inputs: the shape of the input.
            weights: returns a weight by its name.
        """
        if self.mean is None:
            return [weights(name).reshape(self.moments_shape(inputs)) for name in self.statistics]
        sizes, shape = self._sizes(inputs), self.moments_shape(inputs)
        return [np.broadcast_to(np.asarray(value), sizes).reshape(shape) for value in (self.mean, self.variance)]
