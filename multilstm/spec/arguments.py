"""Kinds of arguments: how each is checked, and how Keras's JSON holds it.

A dataclass declares the kind of a field in its annotation, `units: Size`, and calls `check_arguments` from its
`__post_init__`. A new kind is one `Argument` in an `Annotated` alias.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from multilstm.errors import MultilstmError, choice, shown
from multilstm.spec.json_values import as_scalar, check_registered, is_known_module, refuse

__all__ = [
    "ACTIVATIONS",
    "KERAS3_LACKS",
    "NOT_EXECUTED",
    "SIZE_LIMIT",
    "ActivationName",
    "Argument",
    "ArgumentError",
    "Flag",
    "Name",
    "OptionalActivation",
    "Rate",
    "Seed",
    "Size",
    "arguments_of",
    "check_arguments",
    "check_name",
    "is_integer",
    "is_real",
    "is_size_or_none",
    "one_of",
]

ACTIVATIONS = (
    "linear", "tanh", "sigmoid", "relu", "softmax", "hard_sigmoid", "elu", "selu", "softplus", "softsign",
    "exponential", "silu", "gelu", "leaky_relu", "relu6", "hard_sigmoid_keras2", "mish", "hard_silu", "log_softmax",
)  # fmt: skip
NOT_EXECUTED = (  # the other activations of Keras 3.15, by name
    "celu", "glu", "hard_shrink", "hard_tanh", "log_sigmoid", "soft_shrink", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "tanh_shrink", "threshold",
)  # fmt: skip
KERAS3_LACKS = ("hard_sigmoid_keras2",)  # the activations that Keras 3 has under no name
_PORTABLE = "multilstm>"  # before the names of the registered functions of multilstm.keras_layers.activations
SIZE_LIMIT = 2**31  # every size of an array is below


class ArgumentError(ValueError):
    """A value that an argument cannot have. The message begins with the argument's name."""


@dataclasses.dataclass(frozen=True)
class Argument:
    """One kind of argument.

    Attributes:
        check: takes the argument's name and a value; returns the value to keep, or raises ArgumentError.
    """

    check: Callable[[str, Any], Any]

    def read(self, value: Any, where: str) -> Any:
        """Return the argument that `value` of Keras's JSON means; `check` follows.

        Raises:
            SpecError: for a value that this kind of argument cannot have. The message begins with `where`.
        """
        return as_scalar(value, where)

    def write(self, value: Any) -> Any:
        """Return the argument as Keras's JSON holds it."""
        return value


_ARGUMENTS: dict[Any, Mapping[str, Argument]] = {}  # by class: resolving annotations takes long


def arguments_of(owner: Any) -> Mapping[str, Argument]:
    """Return the kinds of the arguments of a dataclass, by field; fields without a kind are left out."""
    if owner not in _ARGUMENTS:
        _ARGUMENTS[owner] = _find_arguments(owner)
    return _ARGUMENTS[owner]


def _find_arguments(owner: Any) -> Mapping[str, Argument]:
    hints = typing.get_type_hints(owner, include_extras=True)
    kinds = {field.name: getattr(hints[field.name], "__metadata__", ()) for field in dataclasses.fields(owner)}
    return {name: kind for name, found in kinds.items() for kind in found if isinstance(kind, Argument)}


def check_arguments(owner: Any, error: type[MultilstmError], label: str | None = None) -> None:
    """Check all arguments of a frozen dataclass, and replace each by the value to keep.

    Args:
        owner: an instance of a dataclass.
        error: the class of the errors.
        label: the beginning of their messages; None: the name of the class.

    Raises:
        MultilstmError: of the class `error`, naming the argument, the given value and the expected values.
    """
    for name, argument in arguments_of(type(owner)).items():
        try:
            value = argument.check(name, getattr(owner, name))
        except ArgumentError as reason:
            raise error(f"{label or type(owner).__name__}: {reason}") from None
        object.__setattr__(owner, name, value)


def is_integer(value: Any) -> bool:
    """Whether `value` is an integer, NumPy's included; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether `value` is a finite real number, NumPy's included; True and False are not."""
    try:
        return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def one_of(*known: Any) -> Argument:
    """Return the kind of an argument that is one of some names. A function is replaced by its own name."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, str):
            value = value.lower() if value.lower() in known else value
        elif callable(value):
            value = getattr(value, "__name__", None) or shown(value)
        if not isinstance(value, (str, type(None))) or value not in known:
            raise ArgumentError(choice(name, value, known))
        return value

    return Argument(check)


def check_name(name: str, value: Any) -> Any:
    """Return the name of a layer or a model, which must be able to be a key and to be written.

    Raises:
        ArgumentError: for an empty name, a `/`, or a half of a surrogate pair.
    """
    if not isinstance(value, str) or not value or "/" in value or any("\ud800" <= char <= "\udfff" for char in value):
        expected = "must be a non-empty string of Unicode characters without '/'"
        raise ArgumentError(f"{name} {expected}, got {shown(value)}")
    return value


def _check_size(name: str, value: Any) -> int:
    if not is_integer(value) or value < 1:
        raise ArgumentError(f"{name} must be a positive integer, got {shown(value)}")
    if value >= SIZE_LIMIT:
        raise ArgumentError(f"{name} must be below 2**31, got {shown(value)}")
    return int(value)


def _check_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} must be True or False, got {shown(value)}")
    return value


def _check_rate(name: str, value: Any) -> float:
    if not is_real(value) or not 0 <= value < 1:
        raise ArgumentError(f"{name} must be a number with 0 <= {name} < 1, got {shown(value)}")
    return float(value)


def _check_seed(name: str, value: Any) -> int | None:
    if value is not None and not is_integer(value):
        raise ArgumentError(f"{name} must be an integer or None, got {shown(value)}")
    return None if value is None else int(value)


def _check_activation(name: str, value: Any) -> Any:
    if isinstance(value, str) and value in NOT_EXECUTED:
        expected = ", ".join(ACTIVATIONS)
        raise ArgumentError(
            f"{name} is {value!r} of Keras, which multilstm does not execute yet; give one of {expected}"
        )
    return "linear" if value is None else one_of(*ACTIVATIONS).check(name, value)


@dataclasses.dataclass(frozen=True)
class _ActivationArgument(Argument):
    """An activation by name. Keras writes a function of `multilstm.keras_layers` as an object."""

    def read(self, value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            return as_scalar(value, where)
        name = value.get("config")
        name = name.removeprefix(_PORTABLE) if isinstance(name, str) else name
        if value.get("class_name") != "function" or name not in ACTIVATIONS:
            refuse(where, value, f"the name of an activation, or one of {_PORTABLE}")
        module = value.get("module")
        if module is not None and module != "builtins" and not is_known_module(module):
            refuse(f"{where}: module of {name}", module, "builtins, or a module of keras or multilstm.keras_layers")
        check_registered(value, ("function", name, f"{_PORTABLE}{name}"), f"{where}: registered_name of {name}")
        return name

    def write(self, value: Any) -> Any:
        if value not in KERAS3_LACKS:
            return value
        name = f"{_PORTABLE}{value}"
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def _check_optional_name(name: str, value: Any) -> Any:
    return None if value is None else check_name(name, value)


def is_size_or_none(value: Any) -> bool:
    """Whether `value` is the size of a dimension: a positive integer below 2**31, or None where it may vary."""
    return value is None or (is_integer(value) and 1 <= value < SIZE_LIMIT)


Name = Annotated[str | None, Argument(_check_optional_name)]
Size = Annotated[int, Argument(_check_size)]
Flag = Annotated[bool, Argument(_check_flag)]
Rate = Annotated[float, Argument(_check_rate)]
Seed = Annotated[int | None, Argument(_check_seed)]
ActivationName = Annotated[str, _ActivationArgument(_check_activation)]
OptionalActivation = Annotated[str | None, _ActivationArgument(_check_activation)]  # None is `linear`
