"""The errors of multilstm: every message says what was wrong, what was given, what was expected, what to do.

All of them derive from `MultilstmError`, so that one `except` clause catches what the library refuses,
and nothing else. `exit_code` is the command line's exit code for an error that nobody caught.
"""


class MultilstmError(Exception):
    """Base of every error that multilstm raises on purpose."""

    exit_code = 4


class SpecError(MultilstmError, ValueError):
    """A layer or model spec that cannot mean anything: wrong argument, shape, rank or graph."""


class InputError(MultilstmError, ValueError):
    """Arrays that do not fit the spec: wrong names, shape, dtype, or values that are not finite."""


class UsageError(MultilstmError, ValueError):
    """An unknown name: engine, case, dtype, layers, quantity or option."""

    exit_code = 2


class UnsupportedError(MultilstmError, NotImplementedError):
    """A valid spec or job that the named engine does not execute."""


class EngineUnavailableError(MultilstmError, RuntimeError):
    """An engine that cannot run here: a framework that is not installed, or a device that is missing."""

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


def choice(what: str, given: object, known: object) -> str:
    """Returns the message for a name that is not one of the known ones.

    Args:
        what: the thing that was named, for example `"engine"`.
        given: the name that was given.
        known: an iterable of the names that exist.
    """
    names = ", ".join(str(name) for name in known)  # type: ignore[attr-defined]
    return f"unknown {what} {given!r}: expected one of {names}"
