"""A user's model: Keras 3's JSON as data, or the result of a function that the user names."""

from __future__ import annotations

import contextlib
import pathlib
import sys

from multilstm.errors import InputError, MultilstmError, SpecError, UsageError
from multilstm.files.regular import read_text
from multilstm.frameworks.targets import import_target, is_target
from multilstm.spec import Graph, from_json

__all__ = ["JSON_LIMIT", "load_model"]

JSON_LIMIT = 64 * 2**20  # bytes


def load_model(source: str) -> Graph:
    """Return the model spec behind a name.

    Args:
        source: the path of a file with the result of Keras 3's `model.to_json()`, or `module:function`. The function
            is imported from the working folder or the installed packages and called without arguments. An existing
            path is a file, whatever its name. Nothing of a file is executed.

    Raises:
        InputError: for a file that cannot be read, or a function that fails, exits or returns no model spec.
        SpecError: for JSON that is broken, or describes a model that multilstm does not execute.
        UsageError: for a name that is neither.
    """
    if source.endswith(".json") or _exists(source):
        return _from_file(source)
    if not is_target(source):
        raise UsageError(f"model {source!r}: expected FILE.json (Keras 3's model.to_json()), or module:function")
    return _from_function(source)


def _exists(source: str) -> bool:
    try:
        return source != "" and pathlib.Path(source).exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _from_file(source: str) -> Graph:
    text = read_text(source, JSON_LIMIT, "Keras 3's model.to_json()")
    try:
        return from_json(text)
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None


def _from_function(source: str) -> Graph:
    sys.path.insert(0, "")
    try:
        model = import_target(source)()
    except MultilstmError:
        raise
    except SystemExit as error:
        raise InputError(f"model {source!r}: it exits with {error.code!r}, expected a Model or Sequential") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's code may raise any class
        raise InputError(f"model {source!r}: {type(error).__name__}: {error}") from error
    finally:
        with contextlib.suppress(ValueError):  # the module may have changed sys.path
            sys.path.remove("")
    if not isinstance(model, Graph):
        raise InputError(f"model {source!r}: it returned {type(model).__name__}, expected a Model or Sequential")
    return model
