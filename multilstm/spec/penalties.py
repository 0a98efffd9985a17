"""Regularizers and constraints of weights as plain data, with Keras 3's names, arguments and defaults.

Each is a value that is called on a weight. What it computes is written once, with operators and methods that NumPy,
JAX and PyTorch arrays share. The formulas are Keras's own: keras/src/regularizers/regularizers.py and
keras/src/constraints/constraints.py of Keras 3.15.1.

A regularizer's penalty is added to the loss, in training and in evaluation (`Trainer.compute_loss`), unless the weight
is not trained (`Layer._get_regularization_losses`). A constraint replaces a weight after each step of the optimizer
(`BaseOptimizer.apply`), never before the first.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from multilstm.errors import SpecError, choice
from multilstm.spec.arguments import is_integer, is_real
from multilstm.spec.optimizers import EPSILON

MODES = ("rows", "columns")


@dataclasses.dataclass(frozen=True)
class Penalty:
    """What regularizers and constraints share: the checks of their arguments."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, where = getattr(self, field.name), f"{type(self).__name__}: {field.name}"
            if field.name == "mode":
                if not isinstance(value, str) or value not in MODES:
                    raise SpecError(f"{type(self).__name__}: {choice('mode', value, MODES)}")
            elif field.name == "axis":
                if not is_integer(value):
                    raise SpecError(f"{where} must be an integer, got {value!r}")
                object.__setattr__(self, "axis", int(value))
            elif not is_real(value) or value < 0:
                raise SpecError(f"{where} must be a finite number that is not negative, got {value!r}")
            else:
                object.__setattr__(self, field.name, float(value))

    def __call__(self, weight: Any) -> Any:
        """The penalty of a weight, a scalar; or, of a constraint, the new weight.

        Args:
            weight: an array of floats of one or two axes.

        Returns:
            An array of the weight's dtype, and of its shape where this is a constraint.
        """
        raise NotImplementedError

    def check_rank(self, where: str, rank: int) -> None:
        """Raises SpecError where this cannot act on a weight of `rank` axes."""


class Regularizer(Penalty):
    """Base of the regularizers."""


class Constraint(Penalty):
    """Base of the constraints."""


def _absolute(array: Any) -> Any:
    """`|array|`, with the derivative 0 at 0, as TensorFlow and PyTorch have it; that of JAX's own is 1 there."""
    return (array > 0) * array - (array < 0) * array


@dataclasses.dataclass(frozen=True)
class L1(Regularizer):
    """`l1 * sum(|weight|)`."""

    l1: float = 0.01

    def __call__(self, weight: Any) -> Any:
        return self.l1 * _absolute(weight).sum()


@dataclasses.dataclass(frozen=True)
class L2(Regularizer):
    """`l2 * sum(weight**2)`."""

    l2: float = 0.01

    def __call__(self, weight: Any) -> Any:
        return self.l2 * (weight * weight).sum()


@dataclasses.dataclass(frozen=True)
class L1L2(Regularizer):
    """`l1 * sum(|weight|) + l2 * sum(weight**2)`."""

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, weight: Any) -> Any:
        return L1(self.l1)(weight) + L2(self.l2)(weight)


@dataclasses.dataclass(frozen=True)
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean of `|cos(v, w)|` over all pairs of rows (or columns) v, w of a weight of two axes.

    Its gradient jumps where two rows are orthogonal, as those of a recurrent kernel are at first: rounding decides it.
    """

    factor: float = 0.01
    mode: str = "rows"

    def __call__(self, weight: Any) -> Any:
        vectors = weight if self.mode == "rows" else weight.T
        # Clipped below the root, where Keras clips the norm: the same value, and no NaN in the gradient of a zero row.
        unit = vectors / (vectors * vectors).sum(axis=1, keepdims=True).clip(EPSILON**2) ** 0.5
        product = unit @ unit.T
        others = _absolute(product).sum() - product.diagonal().sum()
        return self.factor * others / (len(vectors) * (len(vectors) - 1))

    def check_rank(self, where: str, rank: int) -> None:
        if rank != 2:
            raise SpecError(f"{where}: OrthogonalRegularizer needs a weight of two axes, given one of {rank}")

    def check_shape(self, where: str, shape: Sequence[int]) -> None:
        """Raises SpecError where there is no pair: Keras then divides by zero."""
        if shape[MODES.index(self.mode)] < 2:
            raise SpecError(
                f"{where}: OrthogonalRegularizer needs at least two {self.mode}, given shape {tuple(shape)}; leave it "
                f"out, or give it the other mode"
            )


class _Norm(Constraint):
    """What the constraints on the norms of a weight along `axis` share."""

    axis: int

    def check_rank(self, where: str, rank: int) -> None:
        if not -rank <= self.axis < rank:
            raise SpecError(
                f"{where}: {type(self).__name__} has axis={self.axis}, expected an axis of a weight that has {rank}"
            )

    def _norms(self, weight: Any) -> Any:
        return (weight * weight).sum(axis=self.axis, keepdims=True) ** 0.5


@dataclasses.dataclass(frozen=True)
class MaxNorm(_Norm):
    """`weight * (clip(norms, 0, max_value) / (1e-7 + norms))`, with the norms of the weight along `axis`."""

    max_value: float = 2.0
    axis: int = 0

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

    axis: int = 0

    def __call__(self, weight: Any) -> Any:
        return weight / (EPSILON + self._norms(weight))


@dataclasses.dataclass(frozen=True)
class MinMaxNorm(_Norm):
    """`weight * (desired / (1e-7 + norms))`, with the norms of the weight along `axis`.

    `desired = rate * clip(norms, min_value, max_value) + (1 - rate) * norms`.
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_value > self.max_value:  # the backends clip in different orders
            raise SpecError(f"MinMaxNorm: min_value is {self.min_value}, expected at most max_value={self.max_value}")

    def __call__(self, weight: Any) -> Any:
        norms = self._norms(weight)
        desired = self.rate * norms.clip(self.min_value, self.max_value) + (1 - self.rate) * norms
        return weight * (desired / (EPSILON + norms))


KINDS: dict[str, tuple[type[Penalty], ...]] = {
    "regularizer": (L1, L2, L1L2, OrthogonalRegularizer),
    "constraint": (MaxNorm, NonNeg, UnitNorm, MinMaxNorm),
}


def named(kind: str) -> dict[str, type[Penalty]]:
    """The classes of a kind by all names that Keras knows them by: `MaxNorm` and `max_norm`."""
    classes = {found.__name__: found for found in KINDS[kind]}
    snakes = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): found for name, found in classes.items()}
    return {**classes, **snakes}


def penalty(what: str, kind: str, value: Any, rank: int) -> Penalty | None:
    """The regularizer or constraint that a layer's argument means.

    Args:
        what: the layer and its argument, as in `LSTM: kernel_regularizer`.
        kind: `regularizer` or `constraint`.
        value: None, one of `KINDS[kind]`, or one of Keras's names, for its default arguments.
        rank: how many axes the weight has.

    Raises:
        SpecError: for anything else, or where it cannot act on such a weight.
    """
    if value is None:
        return None
    known = named(kind)
    if isinstance(value, str) and value in known:
        value = known[value]()
    if type(value) not in KINDS[kind]:
        layer, _, argument = what.rpartition(": ")
        raise SpecError(f"{layer}: {choice(argument, value, [found.__name__ for found in KINDS[kind]])}")
    found: Penalty = value
    found.check_rank(what, rank)
    return found
