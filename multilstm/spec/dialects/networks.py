"""Models as flat graphs: models inside models and `Merge` become calls of layers."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from multilstm.errors import SpecError
from multilstm.spec.json_values import refuse

__all__ = ["History", "Network", "Node", "Part", "config_of", "is_chain"]

NODE_LIMIT = 100_000  # calls of layers in one model


class History(NamedTuple):
    """One tensor: output `output` of call `call` of a layer; its shape where the file has it."""

    layer: str
    call: int
    output: int
    shape: Any = None


@dataclasses.dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes:
        args: its arguments by position, as Keras 3 has them, with a `History` for each tensor.
        kwargs: its arguments by name.
    """

    args: Sequence[Any]
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Sequence[History], states: Sequence[History] = (), /, **kwargs: Any) -> Node:
        """Return the call of a layer on inputs and initial states."""
        initial = {"initial_state": list(states)} if states else {}
        return cls([list(inputs)] if len(inputs) > 1 else list(inputs), {**kwargs, **initial})

    @property
    def inputs(self) -> list[History]:
        """The tensors of the first argument."""
        first = self.args[0] if self.args else []
        return [item for item in (first if _is_list(first) else [first]) if isinstance(item, History)]

    @property
    def tensors(self) -> list[History]:
        """All tensors that the call takes."""
        found: list[History] = []
        self.mapped(lambda history: found.append(history) or history)  # type: ignore[func-returns-value]
        return found

    def mapped(self, change: Callable[[History], History]) -> Node:
        """Return the call with other tensors."""
        return Node([_mapped(item, change) for item in self.args], _mapped(self.kwargs, change))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and not isinstance(value, History)


def _mapped(value: Any, change: Callable[[History], History]) -> Any:
    if isinstance(value, History):
        return change(value)._replace(shape=value.shape)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    return [_mapped(item, change) for item in value] if _is_list(value) else value


class Part(NamedTuple):
    """A layer or a model in the order of a file.

    Attributes:
        name: of a layer, its name in the whole model; its path, such as `document/lstm`, inside of a TimeDistributed.
            Of a model, its name in the file.
        class_name: the class that the file has, such as CuDNNLSTM.
        parts: of a model its layers, of a TimeDistributed around a model that model; empty for layers.
    """

    name: str
    class_name: str
    parts: tuple[Part, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Part:
        """Return the part with the new names of its layers."""
        parts = tuple(part.renamed(names) for part in self.parts if part.parts or part.outer in names)
        if self.parts:
            return self._replace(parts=parts)
        return self._replace(name=names[self.outer] + self.name.removeprefix(self.outer))

    def within(self, name: str) -> Part:
        """Return the part of a model inside of a layer with that name, which begins the paths of the layers."""
        if self.parts:
            return self._replace(parts=tuple(part.within(name) for part in self.parts))
        return self._replace(name=f"{name}/{self.name}")

    @property
    def outer(self) -> str:
        """The name of the layer of the whole model."""
        return self.name.partition("/")[0]


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
        parts: the layers and models in the order of the file.
    """

    entries: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    nodes: dict[str, list[Node]] = dataclasses.field(default_factory=dict)
    inputs: list[History] = dataclasses.field(default_factory=list)
    outputs: list[History] = dataclasses.field(default_factory=list)
    reserved: set[str] = dataclasses.field(default_factory=set)
    places: dict[str, str] = dataclasses.field(default_factory=dict)
    parts: list[Part] = dataclasses.field(default_factory=list)
    _counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, entry: dict[str, Any], place: str, nodes: Iterable[Node] = (), written: Any = None) -> str:
        """Add a layer with its calls, and return its name, which is made from its class if it has none.

        Args:
            entry: the layer in Keras 3's form.
            place: its place in the file.
            nodes: its calls.
            written: its class in the file; None for a layer that the file does not have.
        """
        name = self._put(entry, place, nodes)
        if written is not None:
            self.parts.append(Part(name, str(written)))
        return name

    def _put(self, entry: dict[str, Any], place: str, nodes: Iterable[Node]) -> str:
        config = dict(entry["config"])
        name = config.get("name") or entry.get("name") or self._new_name(entry["class_name"].lower())
        if not isinstance(name, str) or name in self.entries:
            refuse(f"name of {place}", name, "a name of its own")
        kept = {key: value for key, value in entry.items() if key not in ("inbound_nodes", "name")}
        self.entries[name] = {**kept, "config": {**config, "name": name}}
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

    def inline(self, child: Network, names: Mapping[str, str], calls: Sequence[Node]) -> list[list[History]]:
        """Add the layers of a model inside this one.

        Args:
            child: the model.
            names: the result of `names_for`.
            calls: its calls. Their masks are of the layers that read its inputs, `training` of all layers.

        Returns:
            The outputs of each call.
        """
        if sum(map(len, self.nodes.values())) + len(calls) * sum(map(len, child.nodes.values())) > NODE_LIMIT:
            raise SpecError(f"the calls of models inside the model are too many; expected at most {NODE_LIMIT:,}")
        for old, new in names.items():
            entry = child.entries[old]
            nodes = [
                child._moved_node(node, names, number, call)
                for number, call in enumerate(calls)
                for node in child.nodes[old]
            ]
            self._put({**entry, "config": {**entry["config"], "name": new}}, child.places[old], nodes)
        return [
            [child.moved(x, names, number, call.inputs) for x in child.outputs] for number, call in enumerate(calls)
        ]

    def _moved_node(self, node: Node, names: Mapping[str, str], number: int, call: Node) -> Node:
        """Return a call of a layer of this model for call `number` of this model."""
        moved = node.mapped(lambda x: self.moved(x, names, number, call.inputs))
        if call.kwargs.get("training") is not None and node.kwargs.get("training") is None:
            moved = Node(moved.args, {**moved.kwargs, "training": call.kwargs["training"]})
        masks = call.kwargs.get("mask")
        if masks is None or node.kwargs.get("mask") is not None:
            return moved
        given = masks if _is_list(masks) else [masks]
        ends = {end.layer: mask for end, mask in zip(self.inputs, given, strict=False)}
        inner = [ends.get(history.layer) for history in node.inputs]
        if not any(mask is not None for mask in inner):
            return moved
        return Node(moved.args, {**moved.kwargs, "mask": inner if len(inner) > 1 else inner[0]})

    def start_with(self, child: Network, names: Mapping[str, str]) -> list[History]:
        """Add the layers and the inputs of a model, and return its outputs."""
        (outputs,) = self.inline(child, names, [Node([])])
        self.inputs += [child.moved(history, names, 0, []) for history in child.inputs]
        return outputs

    def readers(self) -> dict[str, set[str]]:
        """Return the classes of the layers that read each layer directly, by its name."""
        classes: dict[str, set[str]] = {}
        for name, nodes in self.nodes.items():
            for history in (history for node in nodes for history in node.tensors):
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
                refuse("a model inside the model uses tensor", list(history[:3]), "a layer, call and output that exist")
            return inputs[ends.index(history.layer)]
        call = number * len(self.nodes[history.layer]) + history.call
        return History(names[history.layer], call, history.output)

    def distribute(self, shape: Any) -> None:
        """Wrap every layer in a TimeDistributed, as for a model inside one.

        Args:
            shape: the shape of the input with the timesteps, where the file has it.
        """
        for name, entry in self.entries.items():
            self.entries[name] = _distributed(entry, shape)

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


_ALONG = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")  # equal for arrays with another axis


def _distributed(entry: dict[str, Any], shape: Any) -> dict[str, Any]:
    """Return a layer that computes every timestep as the layer of an entry."""
    kind, config = entry["class_name"], entry["config"]
    if kind == "InputLayer":
        return {**entry, "config": {**config, "batch_shape": shape}}
    if kind in _ALONG:
        return entry
    if kind == "Concatenate":
        axis = config.get("axis", -1)
        moved = axis + 1 if isinstance(axis, int) and axis > 0 else axis
        return {**entry, "config": {**config, "axis": moved}}
    inner = {key: value for key, value in config.items() if key not in ("batch_shape", "batch_input_shape")}
    outer = {"name": config["name"], "trainable": config.get("trainable", True)}
    return {"class_name": "TimeDistributed", "config": {**outer, "layer": {**entry, "config": inner}}}


def _frozen(config: Mapping[str, Any]) -> dict[str, Any]:
    inner = {key: {**value, "config": _frozen(value["config"])} for key, value in config.items() if key == "layer"}
    return {**config, **inner, "trainable": False}


def is_chain(network: Network) -> bool:
    """Whether every layer is called once, on the layer before it alone."""
    names = list(network.entries)
    chained = all(
        [node.tensors for node in network.nodes[name]] == [[History(before, 0, 0)]]
        for before, name in itertools.pairwise(names)
    )
    return chained and network.outputs == [History(names[-1], 0, 0)] and len(network.inputs) == 1


def config_of(network: Network) -> dict[str, Any]:
    """Return the config of Keras 3's Functional."""
    return {
        "layers": [
            {**entry, "name": name, "inbound_nodes": [_call(node) for node in network.nodes[name]]}
            for name, entry in network.entries.items()
        ],
        "input_layers": [list(history[:3]) for history in network.inputs],
        "output_layers": [list(history[:3]) for history in network.outputs],
    }


def _call(node: Node) -> dict[str, Any]:
    return {"args": _written(node.args), "kwargs": _written(node.kwargs)}


def _written(value: Any) -> Any:
    """Return arguments of a call as Keras 3 writes them."""
    if isinstance(value, History):
        shape = {} if value.shape is None else {"shape": value.shape}
        return {"class_name": "__keras_tensor__", "config": {**shape, "keras_history": list(value[:3])}}
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    return [_written(item) for item in value] if _is_list(value) else value
