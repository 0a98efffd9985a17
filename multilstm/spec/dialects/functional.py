"""The graph of a functional model, as a file has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilstm.errors import shown
from multilstm.spec.dialects.entries import class_name, config_of_entry, layer_list
from multilstm.spec.dialects.layers import DEPTH_LIMIT
from multilstm.spec.dialects.networks import History, Network, Node
from multilstm.spec.dialects.operations import OPERATIONS, operation_node
from multilstm.spec.dialects.tables import RECURRENT
from multilstm.spec.json_values import as_dict, ends_in_order, refuse

__all__ = ["FileGraph"]


class FileGraph:
    """The entries and calls of a functional model, as its file has them.

    Attributes:
        entries: the entries of the layers by name.
        places: their places in the file.
        ends: the inputs and the outputs of the model.
        children: the models among the layers, with the new names of their layers.
    """

    def __init__(self, config: Mapping[str, Any], where: str) -> None:
        self.entries: dict[str, Mapping[str, Any]] = {}
        self.places: dict[str, str] = {}
        self.children: dict[str, tuple[Network, dict[str, str]]] = {}
        self._nodes: dict[str, list[Node]] = {}
        for number, entry in enumerate(layer_list(config.get("layers"), f"{where}layers of the model")):
            place = f"{where}layer {number}"
            entry = as_dict(entry, place)
            name = entry.get("name", config_of_entry(entry, place).get("name"))
            if not isinstance(name, str) or name in self.entries:
                refuse(f"name of {place}", name, "a name of its own")
            calls = entry.get("inbound_nodes", [])
            if not isinstance(calls, list):
                refuse(f"{place}: inbound_nodes", calls, "a list of its calls")
            self.entries[name], self.places[name] = entry, place
            self._nodes[name] = [_node(call, entry, f"{place}, call {index}") for index, call in enumerate(calls)]
        self.ends = tuple(_ends(config.get(key), f"{where}{key}") for key in ("input_layers", "output_layers"))
        self._first_calls = self._numbers_of_first_calls()

    def _numbers_of_first_calls(self) -> dict[str, int]:
        """Return the number of the first call of each layer: 1 for models inside a model of TensorFlow, else 0."""
        nodes = [node for calls in self._nodes.values() for node in calls]
        histories = [*self.ends[0], *self.ends[1], *(x for node in nodes for x in node.tensors)]
        last = {history.layer: 0 for history in histories}
        for history in histories:
            last[history.layer] = max(last[history.layer], history.call)
        return {name: int(last.get(name, 0) >= len(calls) > 0) for name, calls in self._nodes.items()}

    def calls(self, name: str) -> list[Node]:
        """Return the calls of a layer, on tensors of layers that are no models."""
        return [node.mapped(self.find) for node in self._nodes[name]]

    def find(self, history: History, depth: int = 0) -> History:
        """Return the tensor of a layer for a tensor that a model inside the model may return."""
        name = history.layer
        if name not in self.children:
            return history
        child, names = self.children[name]
        number = history.call - self._first_calls[name]
        if not (0 <= number < len(self._nodes[name]) and 0 <= history.output < len(child.outputs)):
            refuse(f"{self.places[name]} {shown(name)}", list(history[:3]), "a call and an output that the model has")
        inputs = self._nodes[name][number].inputs
        if len(inputs) != len(child.inputs) or depth > DEPTH_LIMIT:
            refuse(f"{self.places[name]} {shown(name)}: inputs", len(inputs), f"{len(child.inputs)}, from other layers")
        output = child.outputs[history.output]
        if output.layer in names:
            return child.moved(output, names, number, [])
        return self.find(child.moved(output, names, number, inputs), depth + 1)


def _node(call: Any, entry: Mapping[str, Any], where: str) -> Node:
    """Return one call: of Keras 3 an object, of Keras 1 and 2 a list of `[layer, call, output, arguments]`."""
    if isinstance(call, Mapping) and "args" in call and "kwargs" in call:
        args = call["args"]
        if not isinstance(args, (list, tuple)):
            refuse(f"{where}: args", args, "a list")
        return Node(_read(args, where), _read(as_dict(call["kwargs"], f"{where}: kwargs"), where))
    if class_name(entry) in OPERATIONS:
        return operation_node(call, entry, where, _history)
    if not isinstance(call, list) or not call:
        refuse(where, call, 'a list such as [["lstm", 0, 0, {}]]')
    items = [call] if isinstance(call[0], str) else call
    inputs = [_history(item, where) for item in items]
    arguments = dict(as_dict(items[0][3], f"{where}: arguments")) if len(items[0]) > 3 else {}
    states = arguments.pop("initial_state", None)
    if states is not None:
        return Node.of(inputs, _ends(states, f"{where}: initial_state"), **arguments)
    if isinstance(class_name(entry), str) and class_name(entry) in RECURRENT:
        return Node.of(inputs[:1], inputs[1:], **arguments)
    return Node.of(inputs, **arguments)


def _read(value: Any, where: str) -> Any:
    """Return arguments of a call of Keras 3 with a `History` for each tensor."""
    if isinstance(value, Mapping) and class_name(value) == "__keras_tensor__":
        config = as_dict(value.get("config"), where)
        return _history(config.get("keras_history"), where)._replace(shape=config.get("shape"))
    if isinstance(value, Mapping):
        return {key: _read(item, where) for key, item in value.items()}
    return [_read(item, where) for item in value] if isinstance(value, (list, tuple)) else value


def _history(item: Any, where: str) -> History:
    kinds = [type(value) for value in item[:3]] if isinstance(item, (list, tuple)) and len(item) in (3, 4) else []
    if kinds != [str, int, int]:
        refuse(where, item, 'a layer, a call and an output such as ["lstm", 0, 0]')
    layer, call, output = item[:3]
    return History(layer, call, output)


def _ends(value: Any, where: str) -> list[History]:
    value = ends_in_order(value)
    if not isinstance(value, list) or not value:
        refuse(where, value, 'a list such as [["input_1", 0, 0]]')
    return [_history(item, where) for item in ([value] if isinstance(value[0], str) else value)]
