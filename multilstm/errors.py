"""The errors of multilstm, and the helpers that put values into their messages.

Every message names the fault, the given value, the expected values and the remedy. All errors derive from
`MultilstmError`, so that one `except` clause catches everything that the library refuses, and nothing else.
"""

from __future__ import annotations

import difflib
import itertools
import reprlib
from collections.abc import Iterable

__all__ = [
    "VALUE_LIMIT",
    "EngineUnavailableError",
    "InputError",
    "MultilstmError",
    "ParityError",
    "SpecError",
    "UnsupportedError",
    "UsageError",
    "WorkerError",
    "choice",
    "listed",
    "shown",
]

VALUE_LIMIT = 200  # characters of one value in a message
NAME_LIMIT = 40  # names of one list in a message
_ALIASES = {  # names of dtypes in other programs
    "fp32": "float32", "f32": "float32", "single": "float32", "fp64": "float64", "f64": "float64", "double": "float64",
    "bf16": "mixed_bfloat16", "bfloat16": "mixed_bfloat16", "fp16": "mixed_float16", "float16": "mixed_float16",
    "half": "mixed_float16",
}  # fmt: skip


class MultilstmError(Exception):
    """Base of every error that multilstm raises on purpose.

    Attributes:
        exit_code: the exit code of the command line for this error.
    """

    exit_code = 4


class SpecError(MultilstmError, ValueError):
    """A layer or model spec without a meaning: a wrong argument, shape, rank or graph."""


class InputError(MultilstmError, ValueError):
    """Arrays that do not fit the spec, or a file that cannot be read or written."""


class UsageError(MultilstmError, ValueError):
    """An unknown name: engine, case, dtype, layers, quantity or option."""

    exit_code = 2


class UnsupportedError(MultilstmError, NotImplementedError):
    """A valid spec or job that the named engine does not execute."""


class EngineUnavailableError(MultilstmError, RuntimeError):
    """An engine that cannot run here: its framework is not installed, or its device is missing."""

    exit_code = 3


class WorkerError(MultilstmError, RuntimeError):
    """A job lost by its worker process.

    Attributes:
        kind: `exception`, `memory` (not enough of it), `crash`, `timeout`, `device` (results of another device) or
            `closed` (the pool of workers was closed).
        stderr: the end of the worker's standard error, after the traceback of an exception.
        exception: the name of the exception's class; empty where the worker raised none.
    """

    def __init__(self, message: str, *, kind: str, stderr: str = "", exception: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.stderr = stderr
        self.exception = exception


class ParityError(MultilstmError, AssertionError):
    """Answers that do not agree. Raised by `Report.check`."""

    exit_code = 1


def shown(value: object) -> str:
    """Return `value` as text for a message: one line of at most 200 characters, however large the value is."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    try:
        text = short.repr(value)
    except Exception as error:  # an integer of too many digits, or a foreign __repr__ that fails
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    text = text.replace("\n", " ")
    return text if len(text) <= VALUE_LIMIT else f"{text[: VALUE_LIMIT - 3]}..."


def listed(names: Iterable[object]) -> str:
    """Return names for a message, on one line: at most 40 of them, then the count of the others."""
    first = list(itertools.islice(iterator := iter(names), NAME_LIMIT))
    others = sum(1 for _ in iterator)
    texts = [name if len(name) <= VALUE_LIMIT and name.isprintable() else shown(name) for name in map(str, first)]
    return ", ".join([*texts, f"and {others:,} more"] if others else texts)


def choice(what: str, given: object, known: Iterable[object]) -> str:
    """Return the message for a name that is not one of the known ones, with up to two known names that are meant.

    Args:
        what: the kind of thing, for example `"engine"`.
        given: the unknown name.
        known: the names that exist.
    """
    names = [str(name) for name in known]
    near = _near(given, names) if isinstance(given, str) and len(given) <= NAME_LIMIT else []
    hint = f"; did you mean {' or '.join(listed([name]) for name in near)}?" if near else ""
    return f"unknown {what} {shown(given)}: expected one of {listed(names)}{hint}"


def _near(given: str, names: list[str]) -> list[str]:
    """Return up to two names: that of an alias, else the shortest that contain the text, else those spelled alike."""
    text = given.lower()
    if _ALIASES.get(text) in names:
        return [_ALIASES[text]]
    containing = sorted((name for name in names if len(text) > 1 and text in name.lower()), key=len)
    return containing[:2] or difflib.get_close_matches(given, names, n=2, cutoff=0.55)
