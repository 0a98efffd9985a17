"""Values of parsed JSON, checked by a type: a dataclass describes the objects that a file holds."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from typing import Any

from multilstm.errors import InputError, choice, listed, shown

__all__ = ["typed"]

WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
LARGEST = 2**63 - 1


def typed(hint: Any, value: Any, where: str) -> Any:
    """Return a JSON value as a type.

        >>> typed(dict[str, int], {"a": 3}, "counts")
        {'a': 3}

    Args:
        hint: `int`, `float`, `str`, `bool`, `Any`, `list[T]`, `dict[str, T]`, `T | None`, or a dataclass of these. A
            whole number is a `float` too.
        value: the value, as `parse_json` returned it.
        where: the place of the value, the beginning of every error.

    Raises:
        InputError: for a value of another type, and a whole number of more than 64 bits. Also for an object that lacks
            a field, or has an unknown one.
    """
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, where)
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is types.UnionType:
        inner, _ = arguments
        return None if value is None else typed(inner, value, where)
    if type(value) is not origin and not (origin is float and type(value) is int):
        raise InputError(f"{where}: given {shown(value)}; expected {WORDS[origin]}")
    if type(value) is int and abs(value) > LARGEST:
        raise InputError(f"{where}: given {shown(value)}; expected at most {LARGEST}")
    if origin is list:
        return [typed(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is dict:
        return {name: typed(arguments[1], item, f"{where}[{shown(name)}]") for name, item in value.items()}
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    """Return an object as a dataclass."""
    value = typed(dict[str, Any], value, where)
    hints, fields = _described(kind)
    for name in value:
        if name not in fields:
            raise InputError(f"{where}: {choice('key', name, fields)}")
    missing = [name for name, field in fields.items() if name not in value and _is_required(field)]
    if missing:
        raise InputError(f"{where}: {missing[0]!r} is missing; expected {listed(map(repr, fields))}")
    return kind(**{name: typed(hints[name], item, f"{where}: {name}") for name, item in value.items()})


@functools.cache
def _described(kind: Any) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    """Return the types and the fields of a dataclass, by name."""
    return typing.get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
