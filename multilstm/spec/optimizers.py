"""Optimizers and losses as data, with Keras 3's names, defaults and update rules.

An update rule is written once, with operators only, so that it runs on NumPy, JAX and PyTorch arrays alike. The numbers
that depend on the iteration alone are computed beforehand in double precision, by `coefficients`. The rules are those
of keras/src/optimizers/sgd.py, rmsprop.py, adam.py and adamw.py of Keras 3.15.1. Textbooks put epsilon elsewhere:
RMSprop adds it inside the root here, and Adam outside of a root that is not bias-corrected.

The order of one update is that of `BaseOptimizer._backend_apply_gradients`: gradients are clipped, weights decay, the
rule is applied, and constraints act last.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any

from multilstm.errors import UsageError, choice, shown
from multilstm.spec.arguments import Argument, ArgumentError, Flag, check_arguments, is_integer
from multilstm.spec.schedules import (
    Number,
    OptionalNumber,
    Schedule,
    check_number,
    schedule_from_dict,
    schedule_to_dict,
)

__all__ = ["LOSSES", "OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "RMSpropKeras2"]

LOSSES = ("categorical_crossentropy", "mean_squared_error")
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
EPSILON = 1e-7  # keras.config.epsilon(): the categorical cross-entropy clips probabilities to [1e-7, 1 - 1e-7]


def _check_learning_rate(name: str, value: Any) -> Any:
    return value if isinstance(value, Schedule) else check_number(name, value)


def _share(largest: float) -> Argument:
    """Return the kind of the share that a running mean keeps of its previous value."""

    def check(name: str, value: Any) -> float:
        share = check_number(name, value)
        if share > largest:
            raise ArgumentError(f"{name} is a share of the previous value, below 1, got {shown(value)}")
        return share

    return Argument(check)


LearningRate = Annotated[float | Schedule, Argument(_check_learning_rate)]
Share = Annotated[float, _share(1.0)]
ShareBelowOne = Annotated[float, _share(math.nextafter(1, 0))]  # Adam divides by 1 - beta**iteration


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Base of the optimizers: `slots` are the arrays that it keeps for every weight, zero at first.

    Attributes:
        learning_rate: a number, or a schedule of `multilstm.spec.schedules`.
        weight_decay: each weight loses this share of itself, times the learning rate, before the rule is applied.
        clipnorm: the largest norm that the gradient of each weight keeps; 0 clips nothing, as in Keras.
        clipvalue: the largest magnitude that each number of a gradient keeps; 0 clips nothing.
        global_clipnorm: the largest norm that all gradients together keep; 0 clips nothing.
    """

    learning_rate: LearningRate = 0.001
    weight_decay: OptionalNumber = dataclasses.field(default=None, kw_only=True)
    clipnorm: OptionalNumber = dataclasses.field(default=None, kw_only=True)
    clipvalue: OptionalNumber = dataclasses.field(default=None, kw_only=True)
    global_clipnorm: OptionalNumber = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_arguments(self, UsageError)
        clips = [name for name in _CLIPS if getattr(self, name) is not None]
        if len(clips) > 1:
            raise UsageError(f"{type(self).__name__}: only one of {', '.join(_CLIPS)} may be set, got {clips}")

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays kept for every weight."""
        return ()

    def coefficients(self, iteration: int) -> dict[str, float]:
        """Return the numbers that an update needs and that depend on its number alone.

        Args:
            iteration: the number of updates made before.

        Raises:
            UsageError: for anything but an integer of 0 or more.
        """
        is_scalar = hasattr(iteration, "__index__") and not isinstance(iteration, bool)  # of Python, NumPy or JAX
        if not is_scalar or (is_integer(iteration) and iteration < 0):
            raise UsageError(f"iteration: given {shown(iteration)}; expected an integer of 0 or more")
        rate = self.learning_rate(iteration) if isinstance(self.learning_rate, Schedule) else self.learning_rate
        decay = {"decay": self.weight_decay * rate} if self.weight_decay else {}
        return {"rate": self._rate(rate, iteration), **decay}

    def clip(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Return the gradients of all weights, clipped as this optimizer does it.

        With `c` for clipnorm and `|g|` for the root of the sum of all squares of a gradient,

            clipnorm: g * c / max(|g|, c);    global_clipnorm: the same with |g| over all gradients together

        Args:
            gradients: an array for every trained weight, by name.
        """
        if self.clipnorm:
            return {name: g * self.clipnorm / _norm([g]).clip(self.clipnorm) for name, g in gradients.items()}
        if self.global_clipnorm and gradients:
            norm = _norm(list(gradients.values())).clip(self.global_clipnorm)
            return {name: g * self.global_clipnorm / norm for name, g in gradients.items()}
        if self.clipvalue:
            return {name: g.clip(-self.clipvalue, self.clipvalue) for name, g in gradients.items()}
        return dict(gradients)

    def step(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Return one weight after one update: its decay, then the rule.

        Args:
            weight: an array of any shape.
            gradient: an array of the same shape, clipped.
            slots: an array of the same shape for every name in `self.slots`.
            coefficients: the result of `coefficients`, as numbers or as scalars of the weight's dtype.

        Returns:
            The new weight and the new slots; nothing is changed in place.
        """
        if self.weight_decay:
            weight = weight - weight * coefficients["decay"]
        return self._rule(weight, gradient, slots, coefficients)

    def _rate(self, learning_rate: float, iteration: int) -> float:
        """Return the factor of the rule's step."""
        return learning_rate

    def _rule(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Return the weight and the slots after the rule, which `step` applies after the decay."""
        raise NotImplementedError


def _norm(arrays: list[Any]) -> Any:
    return sum((array * array).sum() for array in arrays) ** 0.5


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """`velocity = momentum * velocity - rate * gradient; weight += velocity` (Keras's SGD)."""

    learning_rate: LearningRate = 0.01
    momentum: Share = 0.0
    nesterov: Flag = False

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def _rule(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        descent = coefficients["rate"] * gradient
        if not self.momentum:
            return weight - descent, {}
        velocity = self.momentum * slots["momentum"] - descent
        move = self.momentum * velocity - descent if self.nesterov else velocity
        return weight + move, {"momentum": velocity}


@dataclasses.dataclass(frozen=True)
class RMSprop(Optimizer):
    """Divides the gradient by a running root mean square (Hinton 2012); epsilon is inside the root (Keras)."""

    learning_rate: LearningRate = 0.001
    rho: Share = 0.9
    momentum: Share = 0.0
    epsilon: Number = 1e-7
    centered: Flag = False

    @property
    def slots(self) -> tuple[str, ...]:
        return (
            "velocity",
            *(("momentum",) if self.momentum else ()),
            *(("average_gradient",) if self.centered else ()),
        )

    def _rule(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        after = {"velocity": self.rho * slots["velocity"] + (1 - self.rho) * gradient * gradient}
        denominator = after["velocity"] + self.epsilon
        if self.centered:
            after["average_gradient"] = self.rho * slots["average_gradient"] + (1 - self.rho) * gradient
            denominator = denominator - after["average_gradient"] * after["average_gradient"]
        move = coefficients["rate"] * gradient / denominator**0.5
        if self.momentum:
            move = after["momentum"] = self.momentum * slots["momentum"] + move
        return weight - move, after


@dataclasses.dataclass(frozen=True)
class RMSpropKeras2(RMSprop):
    """The RMSprop of Keras 1, and of Keras 2 before 2.11, with epsilon outside of the root; Keras 3 has it inside.

    The sources are keras/optimizers.py of Keras 2.2.4 and keras/optimizers/optimizer_v2/rmsprop.py of Keras 2.10. With
    a momentum, that rule has epsilon inside of the root, and is `RMSprop`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.momentum:
            raise UsageError(
                f"RMSpropKeras2: momentum must be 0, got {self.momentum}; with a momentum, Keras 2 has RMSprop"
            )

    def _rule(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        after = {"velocity": self.rho * slots["velocity"] + (1 - self.rho) * gradient * gradient}
        variance = after["velocity"]
        if self.centered:
            after["average_gradient"] = self.rho * slots["average_gradient"] + (1 - self.rho) * gradient
            variance = variance - after["average_gradient"] * after["average_gradient"]
        return weight - coefficients["rate"] * gradient / (variance**0.5 + self.epsilon), after


@dataclasses.dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma and Ba 2014 (https://arxiv.org/abs/1412.6980), with the 'epsilon hat' of its section 2, as Keras."""

    learning_rate: LearningRate = 0.001
    beta_1: ShareBelowOne = 0.9
    beta_2: ShareBelowOne = 0.999
    epsilon: Number = 1e-7

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    def _rate(self, learning_rate: float, iteration: int) -> float:
        correction_1 = 1 - self.beta_1 ** (iteration + 1)
        correction_2 = 1 - self.beta_2 ** (iteration + 1)
        return learning_rate * math.sqrt(correction_2) / correction_1

    def _rule(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        momentum = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        velocity = slots["velocity"] + (gradient * gradient - slots["velocity"]) * (1 - self.beta_2)
        move = coefficients["rate"] * momentum / (velocity**0.5 + self.epsilon)
        return weight - move, {"momentum": momentum, "velocity": velocity}


@dataclasses.dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weights decay (Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101).

    The decay is that of every Keras optimizer and does not enter the gradient's moments. It must be a number.
    """

    weight_decay: Number = dataclasses.field(default=0.004, kw_only=True)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}
_OLD: dict[str, type[Optimizer]] = {"rmspropkeras2": RMSpropKeras2}  # rules that Keras 3 lacks


def optimizer_to_dict(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as JSON data: its name and its arguments."""
    fields = {field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)}
    written = {key: schedule_to_dict(value) if isinstance(value, Schedule) else value for key, value in fields.items()}
    return {"name": type(optimizer).__name__.lower(), **written}


def optimizer_from_dict(data: dict[str, Any]) -> Optimizer:
    """Return the optimizer that `optimizer_to_dict` wrote.

    Raises:
        UsageError: for an unknown name or argument.
    """
    arguments = dict(data)
    name = arguments.pop("name", None)
    known = {**OPTIMIZERS, **_OLD}
    if name not in known:
        raise UsageError(choice("optimizer", name, OPTIMIZERS))
    if isinstance(arguments.get("learning_rate"), Mapping):
        arguments["learning_rate"] = schedule_from_dict(arguments["learning_rate"])
    try:
        return known[name](**arguments)
    except TypeError as error:
        raise UsageError(f"optimizer {name!r}: {error}") from None
