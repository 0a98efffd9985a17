"""The model behind a name of the command line: a file, or the result of a function that the user names."""

from __future__ import annotations

import contextlib
import pathlib
import sys

from multilstm.errors import InputError, MultilstmError, UsageError, shown
from multilstm.files.exits import process_stays
from multilstm.files.in_memory import resolved
from multilstm.files.loaded import LoadedModel, Provenance
from multilstm.files.model import load
from multilstm.files.regular import near_file
from multilstm.frameworks.targets import import_target, is_target
from multilstm.spec import Graph

__all__ = ["load_model"]


def load_model(
    source: str, weights: str | None = None, architecture: str | None = None, keras_version: str | None = None
) -> LoadedModel:
    """Return the model behind a name of the command line.

    Args:
        source: the path of a file, see `load`, or `module:function`. The function is imported from the working folder
            or the installed packages. It is called without arguments, and returns a model as `resolved` takes it, such
            as a spec or a model of Keras. An existing path is a file, whatever its name.
        weights: see `load`.
        architecture: see `load`.
        keras_version: see `load`.

    Raises:
        InputError: as `load`, or for a function that fails, exits or returns no model.
        SpecError: as `load`.
        UsageError: for a name that is neither.
    """
    if source.endswith(".json") or _exists(source):
        return load(source, weights, architecture, keras_version)
    if not is_target(source):
        if pathlib.PurePath(source).suffix:
            raise InputError(f"cannot read {shown(source)}: there is no such file{near_file(source)}")
        raise UsageError(f"model {source!r}: expected a model file (.keras, .h5, .json, ...), or module:function")
    if architecture is not None:
        raise UsageError(f"model {source!r} is a function, which returns an architecture; leave --architecture out")
    loaded = _from_function(source)
    if weights is None:
        return loaded
    return load(weights, architecture=loaded)


def _exists(source: str) -> bool:
    try:
        return source != "" and pathlib.Path(source).exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _from_function(source: str) -> LoadedModel:
    sys.path.insert(0, "")
    try:
        with process_stays(), contextlib.redirect_stdout(sys.stderr):  # a result may go to standard output
            model = resolved(import_target(source)())
    except MultilstmError:
        raise
    except SystemExit as error:
        raise InputError(f"model {source!r}: it exits with {error.code!r}, expected a Model or Sequential") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's code may raise any class
        hint = f"; give {source.replace('.py:', ':')!r}" if ".py:" in source else ""
        raise InputError(f"model {source!r}: {type(error).__name__}: {error}{hint}") from error
    finally:
        with contextlib.suppress(ValueError):  # the module may have changed sys.path
            sys.path.remove("")
    if isinstance(model, LoadedModel):
        return model
    if not isinstance(model, Graph):
        raise InputError(
            f"model {source!r}: it returned {type(model).__name__}, expected a Model or Sequential of multilstm "
            f"or Keras"
        )
    return LoadedModel(model, None, Provenance("a Python function", shown(source)))
