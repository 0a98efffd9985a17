"""Learning-rate schedules as data, with Keras 3's names, arguments and defaults.

A schedule is called with the number of updates made before, and gives the rate of the next one, in double precision.
The rules are those of keras/src/optimizers/schedules/learning_rate_schedule.py of Keras 3.15.1.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from multilstm.errors import UsageError, choice

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Schedule",
]


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number that is not negative."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Base of the schedules. Numbers are finite and not negative, `decay_steps` is positive."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, where = getattr(self, field.name), f"{type(self).__name__}: {field.name}"
            if field.name in ("boundaries", "values"):
                valid = _is_count if field.name == "boundaries" else is_number
                if not isinstance(value, (list, tuple)) or not value or not all(map(valid, value)):
                    kind = "whole numbers" if field.name == "boundaries" else "finite numbers"
                    raise UsageError(f"{where} must be a list of {kind} that are not negative, got {value!r}")
                object.__setattr__(self, field.name, tuple(value))
            elif isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise UsageError(f"{where} must be True or False, got {value!r}")
            elif field.name in ("decay_steps", "warmup_steps"):
                least = 1 if field.name == "decay_steps" else 0
                if not _is_count(value) or value < least:
                    raise UsageError(f"{where} must be a whole number of at least {least}, got {value!r}")
            elif value is None and field.default is None:
                continue
            elif not is_number(value):
                raise UsageError(f"{where} must be a finite number that is not negative, got {value!r}")
            else:
                object.__setattr__(self, field.name, float(value))

    def __call__(self, iteration: int) -> float:
        """The learning rate of update number `iteration`, from 0."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """`initial_learning_rate * decay_rate**(iteration / decay_steps)`; the exponent is whole with `staircase`."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __call__(self, iteration: int) -> float:
        past = iteration // self.decay_steps if self.staircase else iteration / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**past)


@dataclasses.dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """`initial_learning_rate / (1 + decay_rate * iteration / decay_steps)`; the quotient is whole with `staircase`."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __call__(self, iteration: int) -> float:
        past = iteration // self.decay_steps if self.staircase else iteration / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * past)


@dataclasses.dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a wave of the cosine, from the initial rate to `alpha` times as much (https://arxiv.org/abs/1608.03983).

        initial_learning_rate * ((1 - alpha) * (1 + cos(pi * min(iteration / decay_steps, 1))) / 2 + alpha)

    With a `warmup_target` the rate first rises to it in a straight line, over `warmup_steps`, and falls from there.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __call__(self, iteration: int) -> float:
        highest = self.initial_learning_rate
        if self.warmup_target is not None:
            highest = self.warmup_target
            if iteration < self.warmup_steps:
                rise = highest - self.initial_learning_rate
                return rise * (iteration / self.warmup_steps) + self.initial_learning_rate
            iteration -= self.warmup_steps
        wave = 0.5 * (1 + math.cos(math.pi * min(iteration / self.decay_steps, 1)))
        return highest * ((1 - self.alpha) * wave + self.alpha)


@dataclasses.dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """From the initial rate to `end_learning_rate`, along `(1 - iteration / decay_steps)**power`.

    With `cycle`, what was the end is the start of a decay that lasts `decay_steps` longer, from the same line.
    """

    initial_learning_rate: float
    decay_steps: int
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __call__(self, iteration: int) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(math.ceil(iteration / steps), 1)
        left = 1 - min(iteration / steps, 1)
        return float((self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate)


@dataclasses.dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    """`values[0]` up to and including iteration `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on."""

    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise UsageError(f"PiecewiseConstantDecay: boundaries must rise, got {self.boundaries}")
        if len(self.values) != len(self.boundaries) + 1:
            raise UsageError(
                f"PiecewiseConstantDecay: {len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, "
                f"got {len(self.values)}"
            )

    def __call__(self, iteration: int) -> float:
        return self.values[bisect.bisect_left(self.boundaries, iteration)]


SCHEDULES: dict[str, type[Schedule]] = {
    each.__name__: each
    for each in (ExponentialDecay, InverseTimeDecay, CosineDecay, PolynomialDecay, PiecewiseConstantDecay)
}


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """The schedule as JSON data, as Keras has it inside an optimizer: `{"class_name": ..., "config": {...}}`."""
    return {"class_name": type(schedule).__name__, "config": dataclasses.asdict(schedule)}


def schedule_from_dict(data: Mapping[str, Any]) -> Schedule:
    """The schedule that `schedule_to_dict` wrote, or that Keras did.

    Raises:
        UsageError: for an unknown name or argument.
    """
    name = data.get("class_name")
    if name not in SCHEDULES:
        raise UsageError(choice("schedule", name, SCHEDULES))
    arguments = {key: value for key, value in data.get("config", {}).items() if key != "name"}
    try:
        return SCHEDULES[name](**arguments)
    except TypeError as error:
        raise UsageError(f"schedule {name!r}: {error}") from None
