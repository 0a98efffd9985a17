"""Identifiers of a module's source: letters, digits and underscores, made of the names of layers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from multilstm.spec import Graph
from multilstm.spec.names import unused

__all__ = ["attribute_names", "identifier"]

LONGEST = 24  # letters of a name


def attribute_names(spec: Graph, reserved: Iterable[str]) -> dict[str, str]:
    """Return the attribute of the class by layer, for every layer but the inputs.

    Args:
        spec: the model.
        reserved: names that no attribute may have.
    """
    taken = set(reserved)
    return {name: identifier(name, taken) for name in spec.layer_inputs}


def identifier(name: str, taken: set[str], longest: int = LONGEST) -> str:
    """Return a new identifier for a name, of at most `longest` letters and a number, and add it to `taken`."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_").lower()[:longest] or "layer"
    if plain[0].isdigit() or keyword.iskeyword(plain) or keyword.issoftkeyword(plain):
        plain = f"layer_{plain}"
    return unused(plain, taken)
