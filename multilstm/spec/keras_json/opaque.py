"""Opaque layers in Keras 3's JSON: their class and arguments are data, and Keras answers for shapes and weights.

A reader of a user's file gives `ask`, which sends a question to Keras in a process of its own. JSON of multilstm holds
the answers, in an entry `facts` that Keras ignores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from multilstm.errors import SpecError, listed, shown
from multilstm.spec.flow import Flow
from multilstm.spec.json_values import as_dict, check_registered, is_known_module, refuse
from multilstm.spec.keras_json.histories import History, history_of
from multilstm.spec.keras_json.layer import check_dtype
from multilstm.spec.layer_base import Tensor
from multilstm.spec.layers.opaque import OPAQUE_CLASSES, Facts, OpaqueLayer, checked_config
from multilstm.spec.shapes import Shape

__all__ = ["TRAINING", "Ask", "PendingLayer", "Question", "is_opaque", "read_opaque", "write_opaque"]

TRAINING = "False or None; dropout and batch statistics act in training alone; leave it out"


class Question(NamedTuple):
    """A question to Keras about a layer.

    Attributes:
        keras_class: one of `OPAQUE_CLASSES`.
        config: its arguments, of `checked_config`.
        inputs: the shapes of the inputs of its first call.
        positional: whether each input is an argument of its own.
        arguments: further arguments of the call.
    """

    keras_class: str
    config: Mapping[str, Any]
    inputs: Sequence[Shape]
    positional: bool
    arguments: Mapping[str, Any]


Ask = Callable[[Question], Facts]


class PendingLayer:
    """An opaque layer of a file, whose shapes are asked for at its first call.

    Args:
        name: its name.
        entry: its entry in the file, checked.
        where: its place in the file, the beginning of every error.
        ask: returns Keras's answer; None: the entry has it.
    """

    def __init__(self, name: str, entry: Mapping[str, Any], where: str, ask: Ask | None) -> None:
        self.name, self._where, self._ask = name, where, ask
        self._keras_class = str(entry["class_name"])
        self._config = checked_config(entry["config"], where)
        self._trainable = entry["config"].get("trainable", True)
        self._facts = None if ask is not None else Facts.read(entry.get("facts"), f"{where}: facts")
        self._call: tuple[bool, Mapping[str, Any]] | None = None
        self._layer: OpaqueLayer | None = None

    def add_call(self, node: Mapping[str, Any]) -> list[History]:
        """Take the next call, and return the tensors that it takes.

        Raises:
            SpecError: for arguments that are no plain data, or that differ from those of the first call.
        """
        args, kwargs = node.get("args"), as_dict(node.get("kwargs", {}), f"{self._where}: kwargs")
        if not isinstance(args, (list, tuple)) or not args:
            refuse(f"{self._where}: args", args, "a list of tensors")
        positional = len(args) > 1
        tensors = args if positional else args[0] if isinstance(args[0], (list, tuple)) else [args[0]]
        histories = [history_of(item, f"{self._where}: args") for item in tensors]
        arguments = {key: value for key, value in kwargs.items() if value not in (None, False)}
        for key, value in arguments.items():
            if key == "training":
                refuse(f"{self._where}: {key}", value, TRAINING)
            if key == "mask" or not isinstance(value, bool):  # masks are claims of the file, see `without_masks`
                refuse(f"{self._where}: {key}", value, "true, false or null; give tensors by position")
        self._call = self._call or (positional, arguments)
        if self._call != (positional, arguments):
            first, later = (_call_words(*call) for call in (self._call, (positional, arguments)))
            raise SpecError(
                f"{self._where}: its calls differ: the first has {first}, a later one {later}; expected the same for "
                f"all calls of a shared layer"
            )
        return histories

    def call(self, number: int, tensors: Sequence[Tensor], flow: Flow) -> Any:
        """Return the result of a call."""
        if self._layer is None:
            positional, arguments = self._call or (False, {})  # a stack has no entry of its calls
            facts = self._facts
            if facts is None:
                assert self._ask is not None
                shapes = [flow.shape(tensor) for tensor in tensors]
                question = Question(self._keras_class, self._config, shapes, positional, arguments)
                try:
                    facts = self._ask(question)
                except SpecError as error:
                    raise SpecError(f"{self._where}: {error}") from None
            call = json.dumps({"positional": positional, "arguments": dict(arguments)})
            self._layer = OpaqueLayer(
                self._keras_class, json.dumps(self._config), call, facts, name=self.name, trainable=self._trainable
            )
        return self._layer(tensors)


def _call_words(positional: bool, arguments: Mapping[str, Any]) -> str:
    """Return the arguments of a call in words."""
    inputs = "several inputs by position" if positional else "one input or list"
    return f"{inputs} and {listed(f'{key}={value}' for key, value in arguments.items()) or 'no further argument'}"


def is_opaque(entry: Any) -> bool:
    """Whether an entry of a file is a built-in layer of Keras that a spec has as an opaque layer."""
    if not isinstance(entry, Mapping) or entry.get("class_name") not in OPAQUE_CLASSES:
        return False
    module = entry.get("module")
    return module is None or (is_known_module(module) and not str(module).startswith("multilstm"))


def read_opaque(entry: Mapping[str, Any], where: str, ask: Ask | None) -> PendingLayer:
    """Return the opaque layer of an entry.

    Raises:
        SpecError: for arguments that are no plain data, and without `ask` for an entry without Keras's answers.
    """
    config = as_dict(entry.get("config"), f"{where}: config")
    name, kind = config.get("name", entry.get("name")), entry["class_name"]
    if not isinstance(name, str) or entry.get("name", name) != name:
        refuse(f"name of {where}", entry.get("name"), f"the name {shown(name)} of its config")
    where = f"{where} {shown(name)} ({kind})"
    check_registered(entry, (kind,), f"{where}: registered_name")
    check_dtype(config.get("dtype"), where)
    if not isinstance(config.get("trainable", True), bool):
        refuse(f"{where}: trainable", config["trainable"], "true or false")
    if ask is None and "facts" not in entry:
        raise SpecError(
            f"{where}: the spec does not describe this layer, and only Keras can tell its shapes; read the model with "
            f"multilstm.load"
        )
    return PendingLayer(name, {**entry, "config": config}, where, ask)


def write_opaque(layer: OpaqueLayer) -> dict[str, Any]:
    """Return the layer as Keras writes it, with Keras's answers."""
    config = {"name": layer.name, "trainable": layer.trainable, **layer.arguments}
    entry = {"module": "keras.layers", "class_name": layer.keras_class, "config": config, "registered_name": None}
    return {**entry, "facts": layer.facts.written()}
