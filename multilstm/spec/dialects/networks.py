"""Models of Keras 0.3 to 2 as flat graphs: models inside models and `Merge` become calls of layers."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from multilstm.errors import SpecError
from multilstm.spec.json_values import refuse

__all__ = ["History", "Network", "Node", "config_of", "is_chain"]

NODE_LIMIT = 100_000  # calls of layers in one model


class History(NamedTuple):
    """One tensor: output `output` of call `call` of a layer."""

    layer: str
    call: int
    output: int


class Node(NamedTuple):
    """One call of a layer: its inputs, its initial states, and other arguments of the call."""

    inputs: list[History]
    states: list[History]
    arguments: Mapping[str, Any]


@dataclasses.dataclass
class Network:
    """A model without models inside.

    Attributes:
        entries: the layers by name, as entries of Keras 3's JSON.
        nodes: the calls of each layer; an InputLayer has none.
        inputs: the tensors that the model takes.
        outputs: the tensors that it returns.
        reserved: names that no layer of a model inside gets.
        places: the place of each layer in the file.
    """

    entries: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    nodes: dict[str, list[Node]] = dataclasses.field(default_factory=dict)
    inputs: list[History] = dataclasses.field(default_factory=list)
    outputs: list[History] = dataclasses.field(default_factory=list)
    reserved: set[str] = dataclasses.field(default_factory=set)
    places: dict[str, str] = dataclasses.field(default_factory=dict)
    _counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, entry: dict[str, Any], place: str, nodes: Iterable[Node] = ()) -> str:
        """Add a layer with its calls, and return its name, which is made from its class if it has none."""
        config = dict(entry["config"])
        name = config.get("name") or entry.get("name") or self._new_name(entry["class_name"].lower())
        if not isinstance(name, str) or name in self.entries:
            refuse(f"name of {place}", name, "a name of its own")
        self.entries[name] = {"class_name": entry["class_name"], "config": {**config, "name": name}}
        self.nodes[name], self.places[name] = list(nodes), place
        return name

    def names_for(self, child: Network, title: str, inputs: bool) -> dict[str, str]:
        """Return the names in this model of the layers of a model inside it, which no other layer gets then.

        Args:
            child: the model inside.
            title: its name, the beginning of the names of layers whose own name is taken.
            inputs: whether its InputLayers become those of this model.
        """
        ends = set() if inputs else {history.layer for history in child.inputs}
        names: dict[str, str] = {}
        for name in child.entries:
            if name not in ends:
                names[name] = self._unique(name, title)
                self.reserved.add(names[name])
        return names

    def inline(self, child: Network, names: Mapping[str, str], calls: list[list[History]]) -> list[list[History]]:
        """Add the layers of a model inside this one.

        Args:
            child: the model.
            names: the result of `names_for`.
            calls: the inputs of each of its calls.

        Returns:
            The outputs of each call.
        """
        if sum(map(len, self.nodes.values())) + len(calls) * sum(map(len, child.nodes.values())) > NODE_LIMIT:
            raise SpecError(f"the calls of models inside the model are too many; expected at most {NODE_LIMIT:,}")
        for old, new in names.items():
            entry = child.entries[old]
            nodes = [
                Node(
                    [child.moved(x, names, number, inputs) for x in node.inputs],
                    [child.moved(x, names, number, inputs) for x in node.states],
                    node.arguments,
                )
                for number, inputs in enumerate(calls)
                for node in child.nodes[old]
            ]
            self.add({**entry, "config": {**entry["config"], "name": new}}, child.places[old], nodes)
        return [[child.moved(x, names, number, inputs) for x in child.outputs] for number, inputs in enumerate(calls)]

    def start_with(self, child: Network, names: Mapping[str, str]) -> list[History]:
        """Add the layers and the inputs of a model, and return its outputs."""
        (outputs,) = self.inline(child, names, [[]])
        self.inputs += [child.moved(history, names, 0, []) for history in child.inputs]
        return outputs

    def readers(self) -> dict[str, set[str]]:
        """Return the classes of the layers that read each layer directly, by its name."""
        classes: dict[str, set[str]] = {}
        for name, nodes in self.nodes.items():
            for history in (history for node in nodes for history in (*node.inputs, *node.states)):
                classes.setdefault(history.layer, set()).add(self.entries[name]["class_name"])
        return classes

    def moved(self, history: History, names: Mapping[str, str], number: int, inputs: list[History]) -> History:
        """Return a tensor of this model in the model around it.

        Args:
            history: the tensor.
            names: the result of `names_for`.
            number: the number of the call of this model.
            inputs: the inputs of that call.
        """
        if history.layer not in names:
            ends = [end.layer for end in self.inputs]
            if history.layer not in ends or len(inputs) != len(ends):
                refuse("a model inside the model uses tensor", list(history), "a layer, call and output that exist")
            return inputs[ends.index(history.layer)]
        call = number * len(self.nodes[history.layer]) + history.call
        return History(names[history.layer], call, history.output)

    def freeze(self) -> None:
        """Mark every layer as untrained, as in a model with `trainable=False`."""
        for entry in self.entries.values():
            if entry["class_name"] != "InputLayer":
                entry["config"] = _frozen(entry["config"])

    def _unique(self, name: str, title: str) -> str:
        if not self._has(name):
            return name
        return self._new_name(f"{title}_{name}") if self._has(f"{title}_{name}") else f"{title}_{name}"

    def _new_name(self, prefix: str) -> str:
        self._counts[prefix] += 1
        while self._has(f"{prefix}_{self._counts[prefix]}"):
            self._counts[prefix] += 1
        return f"{prefix}_{self._counts[prefix]}"

    def _has(self, name: str) -> bool:
        return name in self.entries or name in self.reserved


def _frozen(config: Mapping[str, Any]) -> dict[str, Any]:
    inner = {key: {**value, "config": _frozen(value["config"])} for key, value in config.items() if key == "layer"}
    return {**config, **inner, "trainable": False}


def is_chain(network: Network) -> bool:
    """Whether every layer is called once, on the layer before it alone."""
    names = list(network.entries)
    chained = all(
        [(node.inputs, node.states) for node in network.nodes[name]] == [([History(before, 0, 0)], [])]
        for before, name in itertools.pairwise(names)
    )
    return chained and network.outputs == [History(names[-1], 0, 0)] and len(network.inputs) == 1


def config_of(network: Network) -> dict[str, Any]:
    """Return the config of Keras 3's Functional."""
    return {
        "layers": [
            {**entry, "name": name, "inbound_nodes": [_node(node) for node in network.nodes[name]]}
            for name, entry in network.entries.items()
        ],
        "input_layers": [list(history) for history in network.inputs],
        "output_layers": [list(history) for history in network.outputs],
    }


def _node(node: Node) -> dict[str, Any]:
    inputs = [_tensor(history) for history in node.inputs]
    states = {"initial_state": [_tensor(history) for history in node.states]} if node.states else {}
    return {"args": [inputs] if len(inputs) > 1 else inputs, "kwargs": {**node.arguments, **states}}


def _tensor(history: History) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": list(history)}}
