"""A user's model: files read as data, or the result of a function that the user names."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from multilstm.errors import InputError, MultilstmError, SpecError, UsageError, shown
from multilstm.files.contents import Contents, read_contents
from multilstm.files.loaded import LoadedModel, Provenance
from multilstm.files.stores import Assigned, Place, places_of
from multilstm.frameworks.targets import import_target, is_target
from multilstm.spec import Graph
from multilstm.spec.keras_json import read_json

__all__ = ["load", "load_model"]

Path = str | os.PathLike[str]
Architecture = Path | Graph | LoadedModel


def load(path: Path, weights: Path | None = None, architecture: Architecture | None = None) -> LoadedModel:
    """Read a model from a file, as data: nothing of the file is executed, and no framework is imported.

    The content decides on the format, not the name. Of Keras, `.keras`, HDF5 with or without a configuration,
    `.weights.h5`, `model.to_json()` and `keras_metadata.pb` of a SavedModel are read. Of PyTorch, state dicts are read,
    by `torch.save` or as safetensors. Of ONNX, the weights of LSTM nodes are read. Weights of `multilstm.save_weights`
    are read too. Binary files are parsed in a process of their own, with limits of memory and time.

    Args:
        path: the file of the model, or of its weights.
        weights: the file of the weights, where `path` holds none.
        architecture: the model that the weights belong to, where `path` holds weights alone: another file, a spec, or
            a loaded model.

    Returns:
        The spec, the weights, the training configuration, and the origin of the file.

    Raises:
        InputError: for a file that cannot be read, and for weights that do not fit the model.
        SpecError: for a model with a layer or an option that multilstm does not execute.
        UsageError: for files that give two models or two sets of weights, or no model.
    """
    main = read_contents(path)
    model, spec, notes = _architecture(main, architecture)
    holder = main
    if weights is not None:
        if main.store is not None:
            raise UsageError(f"{os.fspath(path)!r} holds weights itself; leave weights={os.fspath(weights)!r} out")
        holder = read_contents(weights)
        if holder.store is None:
            raise InputError(f"{holder.path!r} is {holder.format} and holds no weights; give the file of the weights")
    places = places_of(spec) if model is None else _places(model.config)
    assigned = _assigned(holder, spec, places)
    provenance = _provenance(main if model is None else model, holder, (*notes, *(assigned.notes if assigned else ())))
    return LoadedModel(
        spec,
        None if assigned is None else assigned.weights,
        provenance,
        main.training or holder.training,
        main.optimizer_state or holder.optimizer_state,
    )


def load_model(source: str, weights: str | None = None, architecture: str | None = None) -> LoadedModel:
    """Return the model behind a name of the command line.

    Args:
        source: the path of a file, see `load`, or `module:function`. The function is imported from the working folder
            or the installed packages and called without arguments; it returns a spec or a `LoadedModel`. An existing
            path is a file, whatever its name.
        weights: see `load`.
        architecture: see `load`.

    Raises:
        InputError: as `load`, or for a function that fails, exits or returns no model.
        SpecError: as `load`.
        UsageError: for a name that is neither.
    """
    if source.endswith(".json") or _exists(source):
        return load(source, weights, architecture)
    if not is_target(source):
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


def _architecture(main: Contents, architecture: Architecture | None) -> tuple[Contents | None, Graph, tuple[str, ...]]:
    """Return the contents with the configuration, None for a spec; the spec; and notes on its translation."""
    if architecture is None:
        if main.config is None:
            holds = "" if main.store is None else f" ({main.store.described()})"
            raise UsageError(
                f"{main.path!r} holds weights alone{holds}, which fit more than one model; give the model too: "
                f"architecture=FILE, or --architecture FILE, such as the result of model.to_json()"
            )
        return main, *_spec(main)
    if main.config is not None:
        raise UsageError(f"{main.path!r} holds a model itself; leave the architecture out")
    if isinstance(architecture, Graph):
        return None, architecture, ()
    if isinstance(architecture, LoadedModel):
        return None, architecture.spec, architecture.provenance.notes
    other = read_contents(architecture)
    if other.config is None:
        raise UsageError(
            f"the architecture {other.path!r} is {other.format} and holds no model; give its model.to_json()"
        )
    return other, *_spec(other)


def _spec(contents: Contents) -> tuple[Graph, tuple[str, ...]]:
    """Return the spec of a configuration, and notes on the meaning of that version's defaults."""
    try:
        spec, translated = read_json(contents.config or {}, contents.version)
    except SpecError as error:
        raise SpecError(f"{contents.path}: {error}") from None
    return spec, translated.notes


def _places(config: Mapping[str, Any] | None) -> tuple[Place, ...]:
    """Return the layers in the order of the file, with the classes of the file."""
    inner = (config or {}).get("config")
    entries = inner.get("layers", ()) if isinstance(inner, Mapping) else inner
    places = []
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        name = entry.get("config", {}).get("name", entry.get("name"))
        places.append(Place(str(name), str(entry.get("class_name"))))
    return tuple(places)


def _assigned(holder: Contents, spec: Graph, places: tuple[Place, ...]) -> Assigned | None:
    if holder.store is None:
        return None
    try:
        return holder.store.assign(spec, places)
    except InputError as error:
        raise InputError(f"weights of {holder.path!r}: {error}") from None


def _provenance(model: Contents, holder: Contents, notes: tuple[str, ...]) -> Provenance:
    formats = dict.fromkeys((model.format, holder.format))
    version = model.version or holder.version
    program = model.program if version else f"{model.program}; its version is unknown: the file does not state it"
    return Provenance(", with ".join(formats), program, version, model.backend or holder.backend, notes)


def _from_function(source: str) -> LoadedModel:
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
    if isinstance(model, LoadedModel):
        return model
    if not isinstance(model, Graph):
        raise InputError(f"model {source!r}: it returned {type(model).__name__}, expected a Model or Sequential")
    return LoadedModel(model, None, Provenance("a Python function", shown(source)))
