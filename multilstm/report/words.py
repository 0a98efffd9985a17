"""The words that the report on a terminal and the page share."""

from __future__ import annotations

from multilstm.compare.quantity import CURVES, EXACT, FORWARD, GRADIENTS, TRAINED

ASPECTS = {
    "counts": EXACT,
    "forward": FORWARD,
    "gradient": GRADIENTS,
    "training": (*CURVES, *TRAINED),
}
LETTERS = {
    "equal": "=",
    "bitwise": "b",
    "rounded": "r",
    "within": "w",
    "unjudged": "u",
    "known": "k",
    "unsupported": "-",
    "diverges": "x",
    "error": "!",
}
MEANING = {
    "equal": "the same number",
    "bitwise": "the same bits as the reference",
    "rounded": "float64: the same bits after rounding to float32",
    "within": "inside the tolerance for rounding",
    "unjudged": "agrees with all other engines, without a judge: all may be wrong",
    "known": "a difference or error that the ledger of divergences explains",
    "unsupported": "the engine does not execute the case",
    "diverges": "a different answer",
    "error": "the engine raised, crashed or timed out",
}


def of_engine(engine: str, reason: str) -> str:
    """Return an engine with a reason, which may begin with the engine's name itself: `torch-lstm: no masks`."""
    return f"{engine}: {without_name(engine, reason)}"


def without_name(engine: str, reason: str) -> str:
    """Return a reason without the engine's name at its beginning."""
    return reason.removeprefix(f"{engine}: ")


def printable(text: str) -> str:
    """Return text from a user's file with control and direction characters escaped.

    Such a text controls no terminal, and hides or reorders nothing on a page.
    """
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
