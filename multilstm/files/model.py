"""A user's model: files read as data."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from multilstm.errors import InputError, SpecError, UsageError, shown
from multilstm.files.contents import Contents, read_contents
from multilstm.files.keras_facts import KerasFacts
from multilstm.files.layer_lists import LayerLists
from multilstm.files.loaded import LoadedModel, Provenance
from multilstm.files.onnx.contents import as_model, as_weights
from multilstm.files.stores import Assigned, leaves, parts_of, weights_by_layer
from multilstm.files.theano import check_theano
from multilstm.spec import Graph
from multilstm.spec.dialects import Part
from multilstm.spec.dialects.versions import is_version
from multilstm.spec.keras_json.model import read_json

__all__ = ["load"]

Path = str | os.PathLike[str]
Architecture = Path | Graph | LoadedModel


@np.errstate(all="ignore")  # conversions keep numbers that are not finite; check_weights names them
def load(
    path: Path,
    weights: Path | None = None,
    architecture: Architecture | None = None,
    keras_version: str | None = None,
) -> LoadedModel:
    """Read a model from a file, as data: nothing of the file is executed, and no framework is imported.

    The content decides on the format, not the name. Of Keras, `.keras`, HDF5 with or without a configuration,
    `.weights.h5`, `model.to_json()` and `keras_metadata.pb` of a SavedModel are read. Of PyTorch, state dicts are read,
    by `torch.save` or as safetensors. Of ONNX, models with LSTM nodes are read. Weights of `multilstm.save_weights`
    are read too. Binary files are parsed in a process of their own, with limits of memory and time.

    Args:
        path: the file of the model, or of its weights.
        weights: the file of the weights, where `path` holds none.
        architecture: the model that the weights belong to, where `path` holds weights alone: another file, a spec, or
            a loaded model.
        keras_version: the version of Keras that wrote the model, such as `2.2.4`, where the file does not state it.

    Returns:
        The spec, the weights, the training configuration, and the origin of the file.

    Raises:
        InputError: for a file that cannot be read, and for weights that do not fit the model.
        SpecError: for a model with a layer or an option that multilstm does not execute.
        UsageError: for files that give two models or two sets of weights, or no model. Also for a `keras_version` that
            is no version, or another one than that of the file.
    """
    main = _with_version(read_contents(path), keras_version)
    main = as_model(main) if architecture is None else as_weights(main)
    holder = main
    if weights is not None:
        if main.store is not None:
            raise UsageError(f"{os.fspath(path)!r} holds weights itself; leave weights={os.fspath(weights)!r} out")
        holder = as_weights(read_contents(weights))
        if holder.store is None:
            raise InputError(f"{holder.path!r} is {holder.format} and holds no weights; give the file of the weights")
    design = _design(main, holder, architecture)
    if "theano" in (holder.backend, None if design.provenance is None else design.provenance.backend):
        check_theano(design.spec)
    assigned = _assigned(holder, design)
    return LoadedModel(
        design.spec,
        None if assigned is None else assigned.weights,
        _provenance(design, holder, () if assigned is None else assigned.notes),
        main.training or holder.training,
        main.optimizer_state or holder.optimizer_state,
        design.parts,
        design.held,
    )


def _with_version(contents: Contents, version: str | None) -> Contents:
    """Return the content of a file, with the version of Keras that the caller gives; it may add to that of the file."""
    if version is None or contents.version == version:
        return contents
    if not is_version(version):
        raise UsageError(f"keras_version: given {shown(version)}; expected a version of Keras such as 2.2.4")
    if contents.version is not None and not version.startswith(f"{contents.version}."):
        raise UsageError(
            f"{contents.path!r} states the version {contents.version!r}, and {version!r} is given; leave the latter out"
        )
    return dataclasses.replace(contents, version=version)


class _Design(NamedTuple):
    """An architecture: a spec, its layers in the order of the file, the origin of the file, and `LoadedModel.held`."""

    spec: Graph
    parts: tuple[Part, ...]
    provenance: Provenance | None = None
    held: tuple[str, ...] = ()


def _design(main: Contents, holder: Contents, architecture: Architecture | None) -> _Design:
    """Return the architecture of a file, or that which the caller gives for weights."""
    if architecture is None:
        if not main.has_model:
            holds = "" if main.store is None else f" ({main.store.described()})"
            raise UsageError(
                f"{main.path!r} holds weights alone{holds}, which fit more than one model; give the model too: "
                f"architecture=FILE, or --architecture FILE, such as the result of model.to_json()"
            )
        return _read_design(main, holder.version)
    if main.has_model:
        raise UsageError(f"{main.path!r} holds a model itself; leave the architecture out")
    if isinstance(architecture, Graph):
        return _Design(architecture, parts_of(architecture))
    if isinstance(architecture, LoadedModel):
        parts = architecture.parts or parts_of(architecture.spec)
        return _Design(architecture.spec, parts, architecture.provenance, architecture.held)
    other = as_model(read_contents(architecture))
    if not other.has_model:
        raise UsageError(
            f"the architecture {other.path!r} is {other.format} and holds no model; give its model.to_json()"
        )
    return _read_design(other, holder.version)


def _read_design(contents: Contents, weights_version: str | None) -> _Design:
    """Return the architecture of a file that holds one.

    An old configuration without a version is of the version of its weights. A configuration of Keras 3 never is: it may
    belong to the weights of an older version.
    """
    version, config = contents.version, contents.config or {}
    if contents.spec is not None:
        origin = Provenance(contents.format, contents.program, version, notes=contents.notes)
        return _Design(contents.spec, parts_of(contents.spec), origin)
    try:
        with KerasFacts() as keras:
            spec, translated = read_json(config, version, keras.ask)
            if version is None and weights_version is not None and not translated.version.startswith("3"):
                version = weights_version
                spec, translated = read_json(config, version, keras.ask)
    except SpecError as error:
        raise SpecError(f"{contents.path}: {error}") from None
    choices = (translated.parts or _parts(config), _parts(translated.config), parts_of(spec))  # the last has all names
    layers = set(weights_by_layer(spec))  # an operation may have become several layers, without weights
    parts = next(parts for parts in choices if layers <= {leaf.name for leaf in leaves(parts)})
    program = contents.program if version else f"{contents.program} {translated.version}, by the form of the file"
    notes, generation = (*contents.notes, *translated.notes), int(re.findall(r"\d+", translated.version)[0])
    origin = Provenance(contents.format, program, version, contents.backend, notes, generation)
    return _Design(spec, parts, origin, translated.held)


def _parts(config: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the layers in the order of the file, with the classes of the file."""
    inner = config.get("config")
    entries = inner.get("layers", ()) if isinstance(inner, Mapping) else inner
    parts = []
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        arguments = entry.get("config")
        name = entry.get("name") if not isinstance(arguments, Mapping) else arguments.get("name", entry.get("name"))
        parts.append(Part(str(name), str(entry.get("class_name"))))
    return tuple(parts)


def _assigned(holder: Contents, design: _Design) -> Assigned | None:
    store = holder.store
    if store is None:
        return None
    if isinstance(store, LayerLists):
        origin = design.provenance
        store = dataclasses.replace(store, version=holder.version or (None if origin is None else origin.version))
    try:
        return store.assign(design.spec, design.parts)
    except InputError as error:
        raise InputError(f"weights of {holder.path!r}: {error}") from None


def _provenance(design: _Design, holder: Contents, notes: tuple[str, ...]) -> Provenance:
    """Return the origin of an architecture with that of its weights."""
    origin = design.provenance
    if origin is None:
        program = holder.program if holder.version else f"{holder.program}; the file does not state its version"
        return Provenance(f"{holder.format}, with a spec", program, holder.version, holder.backend, notes)
    formats = dict.fromkeys((origin.format, holder.format))
    return dataclasses.replace(origin, format=", with ".join(formats), notes=(*origin.notes, *notes))
