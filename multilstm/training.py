"""What a training step needs, as data: optimizers with Keras 3's names, defaults and update rules, and losses.

An update rule is written once, with operators only, so that it runs on NumPy, JAX and PyTorch arrays alike. What
depends on the iteration alone is computed beforehand in double precision, by `coefficients`. The rules are Keras's
own (keras/src/optimizers/sgd.py, rmsprop.py, adam.py of Keras 3.15.1), which differ from the common textbook ones in
where epsilon stands: RMSprop adds it inside the root, Adam outside of a root that is not bias-corrected.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from multilstm.errors import UsageError, choice

LOSSES = ("categorical_crossentropy", "mean_squared_error")
# Adam divides by 1 - beta**iteration.
_LIMITS = {"momentum": 1.0, "rho": 1.0, "beta_1": math.nextafter(1, 0), "beta_2": math.nextafter(1, 0)}
EPSILON = 1e-7  # keras.config.epsilon(): the categorical cross-entropy clips probabilities to [1e-7, 1 - 1e-7]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Base of the optimizers: `slots` are the arrays that it keeps for every weight, zero at first."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                valid = isinstance(value, bool)
            else:
                valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
            if not valid:
                raise UsageError(f"{type(self).__name__}: {field.name} must be like {field.default!r}, got {value!r}")
            if value > _LIMITS.get(field.name, value):
                raise UsageError(f"{type(self).__name__}: {field.name} is a share of what was, below 1, got {value!r}")

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays kept for every weight."""
        return ()

    def coefficients(self, iteration: int) -> dict[str, float]:
        """The numbers of update number `iteration`, from 0, that depend on nothing else."""
        raise NotImplementedError

    def step(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """One update of one weight.

        Args:
            weight: an array of any shape.
            gradient: of the same shape.
            slots: an array of the same shape for every name in `self.slots`.
            coefficients: what `coefficients` returned, as numbers or as scalars of the weight's dtype.

        Returns:
            The new weight and the new slots; nothing is changed in place.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class SGD(Optimizer):
    """`velocity = momentum * velocity - rate * gradient; weight += velocity` (Keras's SGD)."""

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def coefficients(self, iteration: int) -> dict[str, float]:
        return {"rate": self.learning_rate}

    def step(
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
    """Divides the gradient by a running root mean square (Hinton 2012); epsilon stands inside the root (Keras)."""

    learning_rate: float = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        return (
            "velocity",
            *(("momentum",) if self.momentum else ()),
            *(("average_gradient",) if self.centered else ()),
        )

    def coefficients(self, iteration: int) -> dict[str, float]:
        return {"rate": self.learning_rate}

    def step(
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
class Adam(Optimizer):
    """Kingma and Ba 2014 (https://arxiv.org/abs/1412.6980), with the 'epsilon hat' of its section 2, as Keras."""

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    def coefficients(self, iteration: int) -> dict[str, float]:
        correction_1 = 1 - self.beta_1 ** (iteration + 1)
        correction_2 = 1 - self.beta_2 ** (iteration + 1)
        return {"rate": self.learning_rate * math.sqrt(correction_2) / correction_1}

    def step(
        self, weight: Any, gradient: Any, slots: dict[str, Any], coefficients: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        momentum = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        velocity = slots["velocity"] + (gradient * gradient - slots["velocity"]) * (1 - self.beta_2)
        move = coefficients["rate"] * momentum / (velocity**0.5 + self.epsilon)
        return weight - move, {"momentum": momentum, "velocity": velocity}


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def optimizer_to_dict(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as JSON data: its name and its arguments."""
    return {"name": type(optimizer).__name__.lower(), **dataclasses.asdict(optimizer)}


def optimizer_from_dict(data: dict[str, Any]) -> Optimizer:
    """The optimizer that `optimizer_to_dict` wrote.

    Raises:
        UsageError: for an unknown name or argument.
    """
    arguments = dict(data)
    name = arguments.pop("name", None)
    if name not in OPTIMIZERS:
        raise UsageError(choice("optimizer", name, OPTIMIZERS))
    try:
        return OPTIMIZERS[name](**arguments)
    except TypeError as error:
        raise UsageError(f"optimizer {name!r}: {error}") from None
