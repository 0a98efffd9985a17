"""Data as text: a number with its noun, JSON, and nested data as pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as `2,020 models`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def json_line(data: Mapping[str, Any]) -> str:
    """Return plain data as JSON on one line; numbers that are not finite are written as null."""
    return json.dumps(_finite(dict(data)), allow_nan=False)


def json_text(data: Mapping[str, Any]) -> str:
    """Return JSON text of plain data; numbers that are not finite are written as null."""
    return json.dumps(_finite(dict(data)), indent=1, allow_nan=False)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested data as pairs of text, such as `("versions: jax", "0.10.1")`; empty values are left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{name}: {key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        yield name, ", ".join(map(str, value))
    elif value not in (None, ""):
        yield name, str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
