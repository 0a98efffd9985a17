"""JSON text, parsed within limits of size and depth. Repeated keys and numbers that are not finite are refused."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from multilstm.errors import InputError, shown

__all__ = ["DEPTH_LIMIT", "parse_json"]

CONTAINER_LIMIT = 1_000_000  # objects and lists, each of 60 bytes or more; the largest models have some 10,000
DEPTH_LIMIT = 100  # objects and lists inside one another; Keras's JSON of a model has about 10


def parse_json(text: str, limit: int) -> Any:
    """Return the data of a JSON text.

    Args:
        text: the JSON.
        limit: the largest number of characters.

    Raises:
        InputError: for too much text, too many lists and objects, text that is not JSON, deep nesting, and a repeated
            key. Also for NaN, infinity, and numbers beyond float64.
    """
    if len(text) > limit:
        raise InputError(f"the JSON has {len(text):,} characters; expected at most {limit:,}")
    if (containers := text.count("[") + text.count("{")) > CONTAINER_LIMIT:
        raise InputError(f"the JSON has {containers:,} lists and objects; expected at most {CONTAINER_LIMIT:,}")
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
    except InputError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise InputError(f"this is not JSON: {error}") from None
    _check_depth(data)
    return data


def _check_depth(data: Any) -> None:
    """Refuse deep nesting without recursion: some versions of Python parse deeper than they can recurse."""
    level = [data]
    for _ in range(DEPTH_LIMIT + 1):
        containers = [value for value in level if isinstance(value, (dict, list))]
        level = [item for value in containers for item in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> InputError:
    return InputError(f"the JSON is nested too deeply; expected at most {DEPTH_LIMIT} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for name, value in pairs:
        if name in unique:
            raise InputError(f"the JSON gives the key {shown(name)} twice in one object; expected once")
        unique[name] = value
    return unique


def _constant(text: str) -> NoReturn:
    raise InputError(f"the JSON contains {text}; expected finite numbers only")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _constant(shown(text))
