"""Lines of source as formatters break them: at most `WIDTH` columns, and a trailing comma after broken arguments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

__all__ = ["docstring", "fits", "returned", "signature", "wrapped"]

WIDTH = 88  # columns of a line


def fits(line: str) -> bool:
    """Whether a line needs no break."""
    return len(line) <= WIDTH


def docstring(text: str) -> Iterator[str]:
    """Yield the lines of a docstring in a class."""
    yield from textwrap.wrap(f'"""{text}"""', WIDTH, initial_indent="    ", subsequent_indent="    ")


def signature(name: str, parameters: Sequence[str], returns: str = "") -> Iterator[str]:
    """Yield the first lines of a method.

    Args:
        name: of the method.
        parameters: with `self` and annotations.
        returns: the annotation of the result; empty without one.
    """
    end = f") -> {returns}:" if returns else "):"
    inner = ", ".join(parameters)
    if fits(f"    def {name}({inner}{end}"):
        yield f"    def {name}({inner}{end}"
        return
    yield f"    def {name}("
    if fits(f"        {inner}"):
        yield f"        {inner}"
    else:
        yield from (f"        {parameter}," for parameter in parameters)
    if fits(f"    {end}"):
        yield f"    {end}"
    else:
        yield from wrapped(f"    {end.removesuffix(':')}", ":")


def returned(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines that return variables from a method."""
    line = f"        return {', '.join(names)}"
    yield from [line] if fits(line) else ["        return (", *(f"            {name}," for name in names), "        )"]


def wrapped(line: str, end: str = "") -> Iterator[str]:
    """Yield a line; a longer one is broken inside of its last brackets, or before its operators.

    Args:
        line: a statement, or an argument, with its indent.
        end: the comma behind an argument.
    """
    indent = " " * (len(line) - len(line.lstrip()))
    start = _last_brackets(line)
    left, equals, right = line.partition(" = ")
    if fits(line + end):
        yield line + end
    elif start is not None and fits(line[: start + 1]) and not re.search(r" [+*/@] ", line[: start + 1]):
        yield line[: start + 1]
        inner = line[start + 1 : -1]
        is_literal = line[start - 1] == " "  # a tuple or a list, whose items have a line each
        if fits(f"{indent}    {inner}") and not is_literal:
            yield f"{indent}    {inner}"
        else:
            for argument in _arguments(inner):
                yield from wrapped(f"{indent}    {argument}", ",")
        yield f"{indent}{line[-1]}{end}"
    elif equals:
        yield f"{left} = ("
        if start is not None or fits(f"{indent}    {right}"):
            yield from wrapped(f"{indent}    {right}")
        else:
            yield from (f"{indent}    {term}" for term in re.split(r" (?=[+*/@] )", right))
        yield f"{indent}){end}"
    else:
        yield line + end  # nothing to break


def _last_brackets(line: str) -> int | None:
    """Return the place of the bracket that the last character closes; None where it closes none."""
    depth = 0
    if not line.endswith((")", "]")):
        return None
    for place in range(len(line) - 1, -1, -1):
        depth += (line[place] in ")]") - (line[place] in "([")
        if not depth:
            return place
    return None


def _arguments(text: str) -> list[str]:
    """Return the parts of a text between its commas outside of brackets."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append(text[begin:place].strip())
            begin = place + 1
    return [*parts, text[begin:].strip()]
