"""Learning-rate schedules as data, with Keras 3's names, arguments and defaults.

A schedule is called with the number of updates made before, and returns the rate of the next one, in double precision.
The rules are those of keras/src/optimizers/schedules/learning_rate_schedule.py of Keras 3.15.1.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from multilstm.errors import UsageError, choice, shown
from multilstm.spec.arguments import Argument, ArgumentError, Flag, check_arguments
from multilstm.spec.json_values import check_class

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


def check_number(name: str, value: Any) -> float:
    """Return a number as a float; raise ArgumentError for one that is negative or not finite."""
    if not is_number(value):
        raise ArgumentError(f"{name} must be a finite number that is not negative, got {shown(value)}")
    return float(value)


def _check_optional_number(name: str, value: Any) -> float | None:
    return None if value is None else check_number(name, value)


def _count(least: int) -> Argument:
    """Return the kind of a whole number of at least `least`."""

    def check(name: str, value: Any) -> Any:
        if not _is_count(value) or value < least:
            raise ArgumentError(f"{name} must be a whole number of at least {least}, got {shown(value)}")
        return value

    return Argument(check)


def _list_of(kind: str, valid: Callable[[Any], bool]) -> Argument:
    """Return the kind of a list of numbers, kept as a tuple."""

    def check(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or not value or not all(map(valid, value)):
            raise ArgumentError(f"{name} must be a list of {kind} that are not negative, got {shown(value)}")
        return tuple(value)

    return Argument(check)


Number = Annotated[float, Argument(check_number)]
OptionalNumber = Annotated[float | None, Argument(_check_optional_number)]
DecaySteps = Annotated[int, _count(1)]
WarmupSteps = Annotated[int, _count(0)]
Boundaries = Annotated[tuple[int, ...], _list_of("whole numbers", _is_count)]
Values = Annotated[tuple[float, ...], _list_of("finite numbers", is_number)]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Base of the schedules. Numbers are finite and not negative, `decay_steps` is positive."""

    def __post_init__(self) -> None:
        check_arguments(self, UsageError)

    def __call__(self, iteration: int) -> float:
        """Return the learning rate of update number `iteration`, from 0."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """`initial_learning_rate * decay_rate**(iteration / decay_steps)`; the exponent is whole with `staircase`."""

    initial_learning_rate: Number
    decay_steps: DecaySteps
    decay_rate: Number
    staircase: Flag = False

    def __call__(self, iteration: int) -> float:
        past = iteration // self.decay_steps if self.staircase else iteration / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**past)


@dataclasses.dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """`initial_learning_rate / (1 + decay_rate * iteration / decay_steps)`; the quotient is whole with `staircase`."""

    initial_learning_rate: Number
    decay_steps: DecaySteps
    decay_rate: Number
    staircase: Flag = False

    def __call__(self, iteration: int) -> float:
        past = iteration // self.decay_steps if self.staircase else iteration / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * past)


@dataclasses.dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a wave of the cosine, from the initial rate to `alpha` times as much (https://arxiv.org/abs/1608.03983).

        initial_learning_rate * ((1 - alpha) * (1 + cos(pi * min(iteration / decay_steps, 1))) / 2 + alpha)

    With a `warmup_target` the rate first rises linearly to it, over `warmup_steps`, and falls from there.
    """

    initial_learning_rate: Number
    decay_steps: DecaySteps
    alpha: Number = 0.0
    warmup_target: OptionalNumber = None
    warmup_steps: WarmupSteps = 0

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

    With `cycle`, the number of steps grows by `decay_steps` each time that the iteration reaches it:
    `decay_steps` becomes `decay_steps * ceil(iteration / decay_steps)`.
    """

    initial_learning_rate: Number
    decay_steps: DecaySteps
    end_learning_rate: Number = 0.0001
    power: Number = 1.0
    cycle: Flag = False

    def __call__(self, iteration: int) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(math.ceil(iteration / steps), 1)
        left = 1 - min(iteration / steps, 1)
        return float((self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate)


@dataclasses.dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    """`values[0]` up to and including iteration `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on."""

    boundaries: Boundaries
    values: Values

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
    schedule.__name__: schedule
    for schedule in (ExponentialDecay, InverseTimeDecay, CosineDecay, PolynomialDecay, PiecewiseConstantDecay)
}


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as Keras's JSON holds it: `{"class_name": ..., "config": {...}}`."""
    return {"class_name": type(schedule).__name__, "config": dataclasses.asdict(schedule)}


def schedule_from_dict(data: Mapping[str, Any]) -> Schedule:
    """Return the schedule that `schedule_to_dict` or Keras wrote.

    Raises:
        UsageError: for an unknown name or argument.
        SpecError: for a class of the user's own with the name of one of these.
    """
    name = data.get("class_name")
    if name not in SCHEDULES:
        raise UsageError(choice("schedule", name, SCHEDULES))
    check_class(data, name, "schedule")
    arguments = {key: value for key, value in data.get("config", {}).items() if key != "name"}
    try:
        return SCHEDULES[name](**arguments)
    except TypeError as error:
        raise UsageError(f"schedule {name!r}: {error}") from None
