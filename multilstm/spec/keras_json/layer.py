"""One layer in Keras 3's JSON, to and from the spec, with the checks that make a file from a stranger safe to read.

Nothing that a file names is imported or called. Classes are on an allowlist, and arguments are checked one by one. An
argument that multilstm would not execute as Keras does is refused by name. Only the seeds of initializers are ignored,
which decide no shape and no formula.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.arguments import arguments_of
from multilstm.spec.json_values import (
    MIXED_POLICIES,
    MODELS,
    as_dict,
    as_shape,
    check_registered,
    class_of,
    is_known_module,
    refuse,
)
from multilstm.spec.layer_base import InnerLayer, Layer
from multilstm.spec.layers import LAYERS, Bidirectional, GetItem, InnerModel, InputLayer

__all__ = ["SHAPES", "Reader", "check_dtype", "read_layer", "write_layer"]

POLICIES = ("float32", "float64", *MIXED_POLICIES)
POLICY_CLASSES = ("DTypePolicy", "FloatDTypePolicy", "Policy")  # of Keras 3, 3.0, and tf.keras
INPUT_DTYPES = {"float32": "float32", "float64": "float32", "int32": "int32", "int64": "int32"}
SHAPES = ("batch_shape", "batch_input_shape")
OPERATIONS = "keras.src.ops.numpy"  # Keras's module of GetItem
WRITTEN = tuple(layer for layer in LAYERS if layer is not GetItem)  # the classes that Keras writes as layers


class Reader:
    """Reads and writes the layers of one class, from the arguments that the class declares."""

    def __init__(self, layer: type[Layer]) -> None:
        self.layer = layer
        self.fields = {field.name: field for field in dataclasses.fields(layer)}
        self.arguments = arguments_of(layer)

    def read(self, config: Mapping[str, Any], where: str) -> Layer:
        """Return the layer that Keras's `config` describes. Every error begins with `where`."""
        arguments = {key: self._argument(key, value, where) for key, value in config.items() if not self._skips(key)}
        self._check_complete(arguments, config, where)
        return self._make(arguments, where)

    def write(self, layer: Layer) -> dict[str, Any]:
        """Return the layer's arguments as Keras writes them; those that Keras leaves out are written too."""
        config: dict[str, Any] = {}
        for key in self.fields:
            value = getattr(layer, key)
            if key in layer.refused or (key == "name" and value is None):
                continue
            if isinstance(value, InnerModel):
                config[key] = _models().model_config(value.model)
            elif isinstance(value, Layer):
                config[key] = write_layer(value)
            else:
                config[key] = self.arguments[key].write(value)
        return config

    def _skips(self, key: str) -> bool:
        return key == "dtype" or key in self.layer.refused or key in self.layer.ignored or self._is_fixed(key)

    def _is_fixed(self, key: str) -> bool:
        return key in self.layer.fixed and key not in self.fields

    def check(self, config: Mapping[str, Any], where: str) -> None:
        """Raise SpecError for an argument whose value multilstm does not execute."""
        for key, value in config.items():
            if key in self.layer.ignored:
                continue
            if key in self.layer.refused:
                _check_fixed(key, value, self.fields[key].default, where)
            elif self._is_fixed(key):
                _check_fixed(key, value, self.layer.fixed[key], where)
        check_dtype(config.get("dtype"), where)

    def _argument(self, key: str, value: Any, where: str) -> Any:
        if key not in self.arguments:
            refuse(where, key, f"only the arguments {listed(self.fields)}")
        argument = self.arguments[key]
        if isinstance(argument, InnerLayer):
            return read_layer(value, f"{where}: {key}", argument.known)
        return argument.read(value, f"{where}: {key}")

    def _check_complete(self, arguments: Mapping[str, Any], config: Mapping[str, Any], where: str) -> None:
        for key, field in self.fields.items():
            if key not in arguments and field.default is dataclasses.MISSING:
                raise SpecError(f"{where}: {key} is missing; given {shown(list(config))}")

    def _make(self, arguments: Mapping[str, Any], where: str) -> Layer:
        try:
            return self.layer(**arguments)
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from None


class _InputReader(Reader):
    """Reads and writes an InputLayer, whose shape Keras holds with the batch in front."""

    def read(self, config: Mapping[str, Any], where: str) -> Layer:
        shape = next((config[key] for key in SHAPES if config.get(key) is not None), None)
        if shape is None and isinstance(config.get("shape"), (list, tuple)):
            shape = [config.get("batch_size"), *config["shape"]]
        batch, *sizes = as_shape(shape, f"{where}: batch_shape")
        dtype = config.get("dtype", "float32")
        dtype = as_dict(dtype.get("config"), f"{where}: dtype").get("name") if isinstance(dtype, Mapping) else dtype
        if not isinstance(dtype, str) or dtype not in INPUT_DTYPES:
            refuse(f"{where}: dtype", dtype, f"one of {listed(INPUT_DTYPES)}")
        others = {key: self._argument(key, value, where) for key, value in config.items() if not self._skips(key)}
        return self._make({**others, "shape": tuple(sizes), "batch_size": batch, "dtype": INPUT_DTYPES[dtype]}, where)

    def write(self, layer: Layer) -> dict[str, Any]:
        config = super().write(layer)
        shape = [config.pop("batch_size"), *config.pop("shape")]
        return {"batch_shape": shape, **config}

    def check(self, config: Mapping[str, Any], where: str) -> None:
        super().check({key: value for key, value in config.items() if key != "dtype"}, where)

    def _skips(self, key: str) -> bool:
        return key in ("shape", "batch_size") or super()._skips(key)


class _BidirectionalReader(Reader):
    """Reads and writes a Bidirectional. Keras writes its backward layer too, and `forward_` before the inner name."""

    def read(self, config: Mapping[str, Any], where: str) -> Layer:
        layer = super().read(config, where)
        backward, inner = config.get("backward_layer"), layer.wrapped
        if backward is not None:
            self._check_backward(backward, config["layer"], where)
        if inner is None or inner.name is None:
            return layer
        renamed = dataclasses.replace(inner, name=inner.name.removeprefix("forward_") or None)
        changes: dict[str, Any] = {"layer": renamed}
        return dataclasses.replace(layer, **changes)

    def write(self, layer: Layer) -> dict[str, Any]:
        config = super().write(layer)
        inner = config["layer"]["config"]
        if "name" in inner:
            inner["name"] = f"forward_{inner['name']}"
        return config

    def _check_backward(self, backward: Any, forward: Any, where: str) -> None:
        """Raise SpecError for a backward layer that is not the reversed copy of the forward one."""
        given = self._argument("layer", backward, f"{where}: backward_layer")
        expected = self._argument("layer", forward, where)
        for field in dataclasses.fields(given):
            value, desired = getattr(given, field.name), getattr(expected, field.name)
            if field.name == "go_backwards":
                desired = not desired
            if field.name != "name" and value != desired:
                expectation = f"{shown(desired)}, which the forward layer asks for"
                refuse(f"{where}: backward_layer has its own {field.name}", value, expectation)


READERS: Mapping[type[Layer], Reader] = {
    **{layer: Reader(layer) for layer in WRITTEN},
    InputLayer: _InputReader(InputLayer),
    Bidirectional: _BidirectionalReader(Bidirectional),
}


def write_layer(layer: Layer) -> dict[str, Any]:
    """Return the layer as Keras writes it: module, class and arguments. The key of a GetItem is in its calls."""
    if isinstance(layer, GetItem):
        config = {"name": layer.name}
        return {"module": OPERATIONS, "class_name": "GetItem", "config": config, "registered_name": "GetItem"}
    config = READERS[type(layer)].write(layer)
    return {"module": "keras.layers", "class_name": type(layer).__name__, "config": config, "registered_name": None}


def read_layer(entry: Any, where: str, known: Collection[type[Layer]] = WRITTEN) -> Layer:
    """Return the layer that an entry of Keras's JSON describes.

    Args:
        entry: an object with `class_name` and `config`.
        where: the place in the file, the beginning of every error.
        known: the classes that are read here.

    Raises:
        SpecError: for a class or an argument that multilstm does not execute as Keras does.
    """
    entry = as_dict(entry, where)
    if InnerModel in known and entry.get("class_name") in MODELS:
        return _inner_model(entry, where)
    config = as_dict(entry.get("config"), f"{where}: config")
    name = config.get("name", entry.get("name"))
    where = f"{where} {shown(name)}" if name is not None else where
    classes = {layer.__name__: layer for layer in known if layer is not InnerModel}
    layer = classes[class_of(entry, tuple(classes), where)]
    where = f"{where} ({layer.__name__})"
    if "name" in entry and entry["name"] != name:
        refuse(f"{where}: name", entry["name"], f"the name {shown(name)} of its config")
    reader = READERS[layer]
    reader.check(config, where)
    return reader.read({**config, **({} if name is None else {"name": name})}, where)


def _inner_model(entry: Mapping[str, Any], where: str) -> InnerModel:
    try:
        return InnerModel(_models().read_model(entry))
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _models() -> Any:
    """Return the module of whole models, which hold layers and are held by some."""
    from multilstm.spec.keras_json import model

    return model


def _check_fixed(key: str, value: Any, expected: Any, where: str) -> None:
    if value is not expected:
        refuse(f"{where}: {key} is not executed by multilstm", value, f"{expected!r}; change it in the model")


def check_dtype(value: Any, where: str) -> None:
    """Raise SpecError for a dtype policy of a part of a model: multilstm computes everything in the job's dtype."""
    if isinstance(value, Mapping):
        if value.get("class_name", "DTypePolicy") not in POLICY_CLASSES:
            refuse(f"{where}: class of the dtype policy", value.get("class_name"), f"one of {listed(POLICY_CLASSES)}")
        module = value.get("module")
        if module is not None and not is_known_module(module):
            refuse(f"{where}: module of the dtype policy", module, "a module of Keras; your code is never imported")
        check_registered(value, POLICY_CLASSES, f"{where}: registered_name of the dtype policy")
    name = as_dict(value.get("config"), f"{where}: dtype").get("name") if isinstance(value, Mapping) else value
    if name is not None and (not isinstance(name, str) or name not in POLICIES):
        refuse(f"{where}: dtype policy", name, f"one of {listed(POLICIES)} (a job has its own dtype)")
