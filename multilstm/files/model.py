"""Loading a user's model: Keras 3's JSON as data, or a function of a module that the user names."""

from __future__ import annotations

import pathlib
import sys

from multilstm.errors import InputError, MultilstmError, UsageError
from multilstm.frameworks.targets import import_target, is_target
from multilstm.spec import Graph, from_json


def load_model(source: str) -> Graph:
    """The model spec behind a name.

    Args:
        source: `FILE.json`, what Keras 3's `model.to_json()` returned; or `module:function`, which is imported from
            the working folder or the installed packages, and called without arguments. A file never runs code.

    Raises:
        InputError: for a file that cannot be read, or a function that does not return a model spec.
        SpecError: for JSON that is broken, or holds what multilstm does not execute.
        UsageError: for a name that is neither.
    """
    path = pathlib.Path(source)
    if path.suffix == ".json":
        try:
            return from_json(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot read {source!r}: {reason}; expected Keras 3's model.to_json()") from None
    if not is_target(source):
        raise UsageError(f"model {source!r}: expected FILE.json (Keras 3's model.to_json()), or module:function")
    sys.path.insert(0, "")
    try:
        made = import_target(source)()
    except MultilstmError:
        raise
    except Exception as error:
        raise InputError(f"model {source!r}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove("")
    if not isinstance(made, Graph):
        raise InputError(f"model {source!r}: it returned {type(made).__name__}, expected a Model or Sequential")
    return made
