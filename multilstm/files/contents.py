"""One file of a user as plain data: a model configuration, weights, or both."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from multilstm.errors import InputError, listed, shown
from multilstm.files.layer_lists import LayerLists
from multilstm.files.parsers.onnx_graph import FoldedGraph, from_document
from multilstm.files.parsers.parsed import Parsed
from multilstm.files.recognise import Kind, recognise
from multilstm.files.regular import read_bytes, size_limit
from multilstm.files.sandbox import parse_in_process
from multilstm.files.state_dict import StateDict
from multilstm.files.stores import NamedWeights, Store, Tree
from multilstm.files.tensorflow_js import shard_weights
from multilstm.json_data import parse_json
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.dialects.versions import is_version

__all__ = ["Contents", "read_contents"]

FILE_LIMIT = 4 * 2**30  # bytes
JSON_LIMIT = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class Contents:
    """The content of one file.

    Attributes:
        path: the file.
        format: the format in words.
        config: the configuration of a model, as Keras writes it; None where the file has none.
        program: the program that wrote the file.
        version: its version; None where the file does not state it.
        backend: Keras's backend then; None where the file does not state it.
        store: the weights; None where the file has none.
        training: the optimizer and the loss; None where the file has none.
        optimizer_state: the optimizer's arrays by name; None where the file has none.
        graph: the graph of an ONNX model, which gives a spec, or weights for another; None for other files.
        spec: the spec of `graph`, once it was translated.
        notes: sentences on the content.
    """

    path: str
    format: str
    config: Mapping[str, Any] | None = None
    program: str = "Keras"
    version: str | None = None
    backend: str | None = None
    store: Store | None = None
    training: Mapping[str, Any] | None = None
    optimizer_state: Mapping[str, Array] | None = None
    graph: FoldedGraph | None = None
    spec: Graph | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_model(self) -> bool:
        """Whether the file holds a model, not weights alone."""
        return self.config is not None or self.spec is not None


def read_contents(path: str | os.PathLike[str]) -> Contents:
    """Return the content of a file, recognised by its bytes.

    Raises:
        InputError: for a file that cannot be read, with its kind and the next step.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise InputError(f"cannot read {name!r}: {_folder(name)}")
    content = read_bytes(name, min(FILE_LIMIT, size_limit()))
    try:
        return _with_known_version(_READERS[recognise(content)](name, content))
    except InputError as error:
        raise InputError(f"cannot read {name!r}: {error}") from None


def _with_known_version(contents: Contents) -> Contents:
    """Return the content without a version of Keras that is none, and with a note on it."""
    version = contents.version
    if contents.program != "Keras" or version is None or is_version(version):
        return contents
    note = f"the file states the version {shown(version)}, which is none of Keras and is ignored"
    return dataclasses.replace(contents, version=None, notes=(*contents.notes, note))


def _folder(path: str) -> str:
    names = set(os.listdir(path)) if os.access(path, os.R_OK) else set()
    if names & {"saved_model.pb", "keras_metadata.pb"}:
        return "it is a SavedModel folder, whose graph is not read; load it with its Keras and save it as .keras"
    if "config.json" in names:
        return "it is an unpacked .keras archive; give the .keras file, or its config.json and weights"
    return "it is a folder; expected a model file"


def _json(path: str, content: bytes) -> Contents:
    if len(content) > JSON_LIMIT:
        raise InputError(f"it has {len(content):,} bytes, expected at most {JSON_LIMIT:,} of JSON")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{error}; expected UTF-8 text") from None
    model = parse_json(text, JSON_LIMIT)
    while isinstance(model, str):  # json.dumps of to_json(), a common slip
        model = parse_json(model, JSON_LIMIT)
    if not isinstance(model, Mapping):
        raise InputError(f"this is JSON of {shown(model)}; expected the result of model.to_json()")
    return _json_model(path, model)


def _json_model(path: str, model: Mapping[str, Any]) -> Contents:
    topology = model.get("modelTopology")
    if isinstance(topology, Mapping):
        config = topology.get("model_config", topology)
        if isinstance(config, Mapping):
            version, backend = _text(topology, "keras_version"), _text(topology, "backend")
            store, notes = shard_weights(path, model.get("weightsManifest", []), min(FILE_LIMIT, size_limit()))
            kind = "TensorFlow.js layers model"
            return Contents(path, kind, config, version=version, backend=backend, store=store, notes=notes)
    if not {"class_name", "config", "layers"} & set(model):
        keys = listed(map(shown, model)) or "none"
        raise InputError(f"this is JSON, but no model of Keras; its keys are {keys}; expected model.to_json()")
    version, backend = _text(model, "keras_version"), _text(model, "backend")
    return Contents(path, "JSON of a model", model, version=version, backend=backend)


def _hdf5(path: str, content: bytes) -> Contents:
    parsed = parse_in_process("hdf5", content)
    attributes = parsed.document["attributes"]
    config = attributes.get("model_config")
    model = None if config is None else _object(config, "model_config")
    training = attributes.get("training_config")
    version = attributes.get("keras_version") or _text(model or {}, "keras_version")
    if model is None and "other" in parsed.document:
        names = ", ".join(f"{name} {shape}" for name, shape in parsed.document["other"][:5])
        raise InputError(
            f"this is HDF5, but not a model of Keras: it has no model_config, no layer_names and no layers; it holds "
            f"{names or 'no data'}; give the model's file"
        )
    store = _store(parsed)
    kind = "Keras 3 weights (.weights.h5)" if isinstance(store, Tree) else "HDF5 of Keras (.h5)"
    return Contents(
        path,
        kind if model is not None or isinstance(store, Tree) else f"{kind}, weights only",
        model,
        version=version,
        backend=attributes.get("backend"),
        store=store,
        training=None if training is None else _object(training, "training_config"),
        optimizer_state=_optimizer(parsed),
    )


def _zip(path: str, content: bytes) -> Contents:
    parsed = parse_in_process("zip", content)
    if "tensors" in parsed.document:
        return _checkpoint(path, parsed)
    metadata = _object(parsed.document.get("metadata", "{}"), "metadata.json")
    model = _object(parsed.document["config"], "config.json")
    training = model.get("compile_config")
    return Contents(
        path,
        "Keras archive (.keras)",
        model,
        version=_text(metadata, "keras_version"),
        store=_store(parsed),
        training=training if isinstance(training, Mapping) and training else None,  # {}: it was never compiled
        optimizer_state=_optimizer(parsed),
    )


def _old_checkpoint(path: str, content: bytes) -> Contents:
    return _checkpoint(path, parse_in_process("checkpoint", content))


def _checkpoint(path: str, parsed: Parsed) -> Contents:
    entry = parsed.document["entry"]
    kind = "checkpoint of PyTorch" + (f", entry {shown(entry)}" if entry else "")
    tensors = _tensors(parsed)
    ordered = list(tensors) != sorted(tensors)  # a module has its weight before its bias
    others = listed(shown(place or "/") for place in parsed.document["others"])
    notes = (f"other tensors of the file were left out, those at {others}",) if others else ()
    return Contents(path, kind, program="PyTorch", store=StateDict(tensors, ordered, notes))


def _keras_metadata(path: str, content: bytes) -> Contents:
    parsed = parse_in_process("keras_metadata", content)
    model = _object(parsed.document["config"], "the metadata of the root")
    version, backend = _text(model, "keras_version"), _text(model, "backend")
    return Contents(path, "keras_metadata.pb of a SavedModel", model, version=version, backend=backend)


def _onnx(path: str, content: bytes) -> Contents:
    parsed = parse_in_process("onnx", content)
    graph = from_document(parsed.document["graph"], parsed.arrays)
    program, version = parsed.document["producer"] or "a program without a name", parsed.document["version"] or None
    return Contents(path, "ONNX", program=program, version=version, graph=graph)


def _safetensors(path: str, content: bytes) -> Contents:
    parsed = parse_in_process("safetensors", content)
    tensors = _tensors(parsed)
    if any("/" in name for name in tensors):
        return Contents(path, "safetensors of multilstm", program="multilstm", store=NamedWeights(tensors))
    return Contents(path, "safetensors of PyTorch", program="PyTorch", store=StateDict(tensors, ordered=False))


_READERS = {
    Kind.JSON: _json,
    Kind.HDF5: _hdf5,
    Kind.SAFETENSORS: _safetensors,
    Kind.ZIP: _zip,
    Kind.OLD_CHECKPOINT: _old_checkpoint,
    Kind.KERAS_METADATA: _keras_metadata,
    Kind.ONNX: _onnx,
}


def _tensors(parsed: Parsed) -> dict[str, Array]:
    return {name: parsed.arrays[number] for name, number in parsed.document["tensors"]}


def _store(parsed: Parsed) -> Store | None:
    document = parsed.document
    if "layers" in document:
        layers = document["layers"]
        lists = ((layer, tuple((name, parsed.arrays[i]) for name, i in weights)) for layer, weights in layers)
        return LayerLists(tuple(lists), document["attributes"].get("backend"))
    if "tree" in document:
        return Tree({name: parsed.arrays[number] for name, number in document["tree"]})
    return None


def _optimizer(parsed: Parsed) -> Mapping[str, Array] | None:
    entries = parsed.document.get("optimizer")
    return None if entries is None else {name: parsed.arrays[number] for name, number in entries}


def _object(text: str, where: str) -> Mapping[str, Any]:
    try:
        value = parse_json(text, JSON_LIMIT)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: given {shown(value)}; expected an object")
    return value


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value[:100] if isinstance(value, str) else None
