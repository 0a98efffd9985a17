"""Regularizers and constraints of weights as plain data, with Keras 3's names, arguments and defaults.

Each is a value that is called on a weight. Its formula is written once, with operators and methods that NumPy, JAX and
PyTorch arrays share. The formulas are those of keras/src/regularizers/regularizers.py and
keras/src/constraints/constraints.py of Keras 3.15.1.

A regularizer's penalty is added to the loss, in training and in evaluation (`Trainer.compute_loss`), unless the weight
is not trained (`Layer._get_regularization_losses`). A constraint replaces a weight after each step of the optimizer
(`BaseOptimizer.apply`), never before the first.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError, choice, listed, shown
from multilstm.spec.arguments import Argument, ArgumentError, check_arguments, is_integer, is_real
from multilstm.spec.json_values import TEXT_LIMIT, as_dict, class_of, refuse
from multilstm.spec.optimizers import EPSILON

__all__ = [
    "KINDS",
    "L1",
    "L1L2",
    "L2",
    "AnyConstraint",
    "AnyRegularizer",
    "Constraint",
    "MatrixConstraint",
    "MatrixRegularizer",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "OrthogonalRegularizer",
    "Regularizer",
    "Tensor3Constraint",
    "Tensor3Regularizer",
    "Tensor4Constraint",
    "Tensor4Regularizer",
    "UnitNorm",
    "VectorConstraint",
    "VectorRegularizer",
    "WeightFunction",
    "named",
]

MODES = ("rows", "columns")


def _check_mode(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in MODES:
        raise ArgumentError(choice(name, value, MODES))
    return value


def _check_axis(name: str, value: Any) -> int:
    if not is_integer(value):
        raise ArgumentError(f"{name} must be an integer, got {shown(value)}")
    return int(value)


def _check_number(name: str, value: Any) -> float:
    if not is_real(value) or value < 0:
        raise ArgumentError(f"{name} must be a finite number that is not negative, got {shown(value)}")
    return float(value)


Mode = Annotated[str, Argument(_check_mode)]
Axis = Annotated[int, Argument(_check_axis)]
Number = Annotated[float, Argument(_check_number)]


@dataclasses.dataclass(frozen=True)
class WeightFunction:
    """Base of `Regularizer` and `Constraint`: a function of one weight, with checked arguments."""

    keras_module: ClassVar[str]

    def __post_init__(self) -> None:
        check_arguments(self, SpecError)

    def __call__(self, weight: Any) -> Any:
        """Return the penalty of a weight, or the weight that replaces it.

        Args:
            weight: an array of floats of one or two axes.

        Returns:
            An array of the weight's dtype: a scalar for a regularizer, of the weight's shape for a constraint.
        """
        raise NotImplementedError

    def check_rank(self, where: str, rank: int) -> None:
        """Raise ArgumentError where this cannot act on a weight of `rank` axes; the message begins with `where`."""


class Regularizer(WeightFunction):
    """Base of the regularizers: a call returns the penalty, a scalar."""

    keras_module = "keras.regularizers"


class Constraint(WeightFunction):
    """Base of the constraints: a call returns the new weight."""

    keras_module = "keras.constraints"


def _absolute(array: Any) -> Any:
    """Return `|array|` with the derivative 0 at 0, as in TensorFlow and PyTorch; JAX's own derivative there is 1."""
    return (array > 0) * array - (array < 0) * array


@dataclasses.dataclass(frozen=True)
class L1(Regularizer):
    """`l1 * sum(|weight|)`."""

    l1: Number = 0.01

    def __call__(self, weight: Any) -> Any:
        return self.l1 * _absolute(weight).sum()


@dataclasses.dataclass(frozen=True)
class L2(Regularizer):
    """`l2 * sum(weight**2)`."""

    l2: Number = 0.01

    def __call__(self, weight: Any) -> Any:
        return self.l2 * (weight * weight).sum()


@dataclasses.dataclass(frozen=True)
class L1L2(Regularizer):
    """`l1 * sum(|weight|) + l2 * sum(weight**2)`."""

    l1: Number = 0.0
    l2: Number = 0.0

    def __call__(self, weight: Any) -> Any:
        return L1(self.l1)(weight) + L2(self.l2)(weight)


@dataclasses.dataclass(frozen=True)
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean of `|cos(v, w)|` over all pairs of rows (or columns) v, w of a weight of two axes.

    Its gradient jumps where two rows are orthogonal, as in a new recurrent kernel. Rounding decides the gradient there.
    """

    factor: Number = 0.01
    mode: Mode = "rows"

    def __call__(self, weight: Any) -> Any:
        vectors = weight if self.mode == "rows" else weight.T
        # Clipped below the root, where Keras clips the norm: the same value, and no NaN in the gradient of a zero row.
        unit = vectors / (vectors * vectors).sum(axis=1, keepdims=True).clip(EPSILON**2) ** 0.5
        product = unit @ unit.T
        others = _absolute(product).sum() - product.diagonal().sum()
        return self.factor * others / (len(vectors) * (len(vectors) - 1))

    def check_rank(self, where: str, rank: int) -> None:
        if rank != 2:
            raise ArgumentError(f"{where}: OrthogonalRegularizer needs a weight of two axes, given one of {rank}")

    def check_shape(self, where: str, shape: Sequence[int]) -> None:
        """Raise SpecError for a weight without a pair of rows (or columns), for which Keras divides by zero."""
        if shape[MODES.index(self.mode)] < 2:
            raise SpecError(
                f"{where}: OrthogonalRegularizer needs at least two {self.mode}, given shape {tuple(shape)}; leave it "
                f"out, or use the other mode"
            )


class _Norm(Constraint):
    """Base of the constraints on the norms of a weight along `axis`."""

    axis: int

    def check_rank(self, where: str, rank: int) -> None:
        if not -rank <= self.axis < rank:
            raise ArgumentError(
                f"{where}: {type(self).__name__} has axis={self.axis}, expected an axis of a weight that has {rank}"
            )

    def _norms(self, weight: Any) -> Any:
        return (weight * weight).sum(axis=self.axis, keepdims=True) ** 0.5


@dataclasses.dataclass(frozen=True)
class MaxNorm(_Norm):
    """`weight * (clip(norms, 0, max_value) / (1e-7 + norms))`, with the norms of the weight along `axis`."""

    max_value: Number = 2.0
    axis: Axis = 0

    def __call__(self, weight: Any) -> Any:
        norms = self._norms(weight)
        return weight * (norms.clip(0.0, self.max_value) / (EPSILON + norms))


@dataclasses.dataclass(frozen=True)
class NonNeg(Constraint):
    """`max(weight, 0)`."""

    def __call__(self, weight: Any) -> Any:
        return weight.clip(0.0)


@dataclasses.dataclass(frozen=True)
class UnitNorm(_Norm):
    """`weight / (1e-7 + norms)`, with the norms of the weight along `axis`."""

    axis: Axis = 0

    def __call__(self, weight: Any) -> Any:
        return weight / (EPSILON + self._norms(weight))


@dataclasses.dataclass(frozen=True)
class MinMaxNorm(_Norm):
    """`weight * (desired / (1e-7 + norms))`, with the norms of the weight along `axis`.

    `desired = rate * clip(norms, min_value, max_value) + (1 - rate) * norms`.
    """

    min_value: Number = 0.0
    max_value: Number = 1.0
    rate: Number = 1.0
    axis: Axis = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_value > self.max_value:  # the backends clip in different orders
            raise SpecError(f"MinMaxNorm: min_value is {self.min_value}, expected at most max_value={self.max_value}")

    def __call__(self, weight: Any) -> Any:
        norms = self._norms(weight)
        desired = self.rate * norms.clip(self.min_value, self.max_value) + (1 - self.rate) * norms
        return weight * (desired / (EPSILON + norms))


KINDS: dict[str, tuple[type[WeightFunction], ...]] = {
    "regularizer": (L1, L2, L1L2, OrthogonalRegularizer),
    "constraint": (MaxNorm, NonNeg, UnitNorm, MinMaxNorm),
}


def named(kind: str) -> dict[str, type[WeightFunction]]:
    """Return the classes of a kind by all their names in Keras: `MaxNorm` and `max_norm`.

    Args:
        kind: `regularizer` or `constraint`.
    """
    classes = {function.__name__: function for function in KINDS[kind]}
    snakes = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): function for name, function in classes.items()}
    return {**classes, **snakes}


@dataclasses.dataclass(frozen=True)
class _WeightFunctionArgument(Argument):
    """A regularizer or a constraint, by value or by one of Keras's names; None for none."""

    kind: str = ""

    def read(self, value: Any, where: str) -> Any:
        if value is None:
            return None
        known = named(self.kind)
        entry = {"class_name": value} if isinstance(value, str) else as_dict(value, where)
        name = class_of(entry, tuple(known), where)
        fields = tuple(field.name for field in dataclasses.fields(known[name]))
        arguments = as_dict(entry.get("config") or {}, f"{where}: config")
        for key, given in arguments.items():
            if key not in fields:
                refuse(f"{where}: {name}", key, f"only the arguments {listed(fields) or 'none'}")
            if isinstance(given, str) and len(given) > TEXT_LIMIT:
                refuse(f"{where}: {key} of {name}", given, f"at most {TEXT_LIMIT} characters")
            if not isinstance(given, (int, float, str)):
                refuse(f"{where}: {key} of {name}", given, "a number or a name")
        try:
            return known[name](**arguments)
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from None

    def write(self, value: Any) -> Any:
        if value is None:
            return None
        module, config = value.keras_module, dataclasses.asdict(value)
        return {"module": module, "class_name": type(value).__name__, "config": config, "registered_name": None}


def of_weight(kind: str, rank: int | None) -> Argument:
    """Return the argument for a regularizer or a constraint of a weight of `rank` axes, or of any number for None."""

    def check(name: str, value: Any) -> WeightFunction | None:
        if value is None:
            return None
        known = named(kind)
        if isinstance(value, str) and value in known:
            value = known[value]()
        if type(value) not in KINDS[kind]:
            raise ArgumentError(choice(name, value, [function.__name__ for function in KINDS[kind]]))
        function: WeightFunction = value
        if rank is not None:
            function.check_rank(name, rank)
        return function

    return _WeightFunctionArgument(check, kind)


MatrixRegularizer = Annotated[Regularizer | str | None, of_weight("regularizer", 2)]
VectorRegularizer = Annotated[Regularizer | str | None, of_weight("regularizer", 1)]
MatrixConstraint = Annotated[Constraint | str | None, of_weight("constraint", 2)]
Tensor3Regularizer = Annotated[Regularizer | str | None, of_weight("regularizer", 3)]
Tensor3Constraint = Annotated[Constraint | str | None, of_weight("constraint", 3)]
Tensor4Regularizer = Annotated[Regularizer | str | None, of_weight("regularizer", 4)]
Tensor4Constraint = Annotated[Constraint | str | None, of_weight("constraint", 4)]
AnyRegularizer = Annotated[Regularizer | str | None, of_weight("regularizer", None)]
AnyConstraint = Annotated[Constraint | str | None, of_weight("constraint", None)]
VectorConstraint = Annotated[Constraint | str | None, of_weight("constraint", 1)]
