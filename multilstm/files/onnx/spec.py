"""The spec of an ONNX graph: its nodes as layers, its constants as weights.

ONNX's LSTM takes the timesteps first, and programs write Transpose, Squeeze and Reshape around it. A `View` follows the
meaning of each axis through these nodes, so that they need no layers. A node without a layer is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from multilstm.errors import InputError, SpecError, listed, shown
from multilstm.files.onnx.attributes import check_attributes
from multilstm.files.onnx.flow import MOVES, Flow
from multilstm.files.onnx.normalization import OF_NORMALIZATION
from multilstm.files.onnx.recurrent import Output, RecurrentLayer, activation_name, read_recurrence
from multilstm.files.onnx.states import StateInputs, initial_states
from multilstm.files.onnx.views import Part, SwappedAxesError, View, moved
from multilstm.files.onnx.windows import OF_WINDOWS, last_timestep
from multilstm.files.parsers.onnx_graph import RECURRENT, FoldedGraph, Node
from multilstm.files.parsers.parsed import Budget
from multilstm.spec import Activation, Concatenate, Dense, Embedding, GetItem, Graph, Input, Model, RepeatVector, Tensor
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer
from multilstm.spec.names import unused

__all__ = ["Translation", "spec_of"]

INTEGERS = (2, 3, 5, 6, 7, 9)  # of TensorProto.DataType
ACTIVATIONS = {
    "Relu": "relu",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
AXIS_WORDS = {"b": "batch", "t": "timesteps", "f": "features", "d": "directions or layers", "1": "1"}
HALF = (10, 16)
SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}


class Translation(NamedTuple):
    """The spec of a graph, its weights by `layer/weight`, and notes on inputs and outputs."""

    spec: Graph
    weights: dict[str, Array]
    notes: tuple[str, ...]


def spec_of(graph: FoldedGraph) -> Translation:
    """Return the model of a graph.

    Raises:
        InputError: for a node that has no layer, with its name and operator.
    """
    try:
        return _translated(graph, time_first=False)
    except SwappedAxesError:
        return _translated(graph, time_first=True)


def _translated(graph: FoldedGraph, *, time_first: bool) -> Translation:
    """Return the model; the first run finds the outputs of each LSTM that the graph needs."""
    first = _Translator(graph, time_first, None)
    first.translate()
    return _Translator(graph, time_first, {layer.name: layer.requested for layer in first.recurrent}).translate()


class _Translator:
    """One run over the nodes.

    Args:
        graph: the graph.
        time_first: whether inputs of the model have the timesteps before the batch.
        wanted: the needed outputs of each LSTM by name; None: all.
    """

    def __init__(self, graph: FoldedGraph, time_first: bool, wanted: Mapping[str, set[str]] | None) -> None:
        self.graph, self.time_first, self.wanted = graph, time_first, wanted
        self.flow = Flow(graph)
        self.views: dict[str, View] = {}
        self.weights: dict[str, Array] = {}
        self.recurrent: list[RecurrentLayer] = []
        self.inputs: list[Tensor] = []
        self.notes: list[str] = []
        self.names: set[str] = set()
        self.fused: set[int] = set()
        self.joined: dict[tuple[Part, ...], Tensor] = {}
        self.state_inputs = StateInputs(self.flow)
        self.budget = Budget(sum(array.nbytes for array in graph.constants.values()))

    def translate(self) -> Translation:
        """Return the model of the graph."""
        live = self.flow.live()
        if not any(node.op in RECURRENT for node in self.graph.nodes if id(node) in live):
            operators = dict.fromkeys(node.op for node in self.graph.nodes)
            raise InputError(
                f"no node LSTM, GRU or RNN leads to an output; the operators of the main graph are {listed(operators)}"
            )
        for node in self.graph.nodes:
            if id(node) in live:
                check_attributes(node)
        for name, kind, sizes in self.graph.inputs:
            if any(id(node) in live and self.flow.is_data(node, name) for node in self.flow.consumers.get(name, ())):
                self._add_input(name, kind, sizes)
        for node in self.graph.nodes:
            if id(node) in live and id(node) not in self.fused:
                self._node(node)
        outputs = [tensor for name in self.graph.outputs for tensor in self._outputs(name)]
        kinds = [*(kind for _, kind, _ in self.graph.inputs), *(node.attributes.get("to") for node in self.graph.nodes)]
        if any(isinstance(kind, int) and kind in HALF for kind in kinds):
            self.notes.append("the file computes in half precision; here the dtype of a run decides: give --dtype")
        try:
            spec = Model([*self.inputs, *self.state_inputs.tensors], outputs, "onnx")
        except SpecError as error:
            raise InputError(f"the nodes do not fit each other: {error}") from None
        weights = {name: self.weights[name] for name in spec.weight_shapes}
        return Translation(spec, weights, tuple(self.notes))

    def name(self, text: str, default: str) -> str:
        """Return a name for a layer that no other layer has."""
        base = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:60] or default
        return unused(base, self.names, 0)

    def _add_input(self, name: str, kind: int, sizes: tuple[int | None, ...] | None) -> None:
        consumers = self.flow.consumers.get(name, [])
        to_integers = bool(consumers) and all(
            node.op == "Cast" and node.attributes.get("to") in INTEGERS for node in consumers
        )
        tokens = kind in INTEGERS or to_integers
        shape = sizes if sizes is not None else (None, None) if tokens else (None, None, None)
        if len(shape) not in ((2,) if tokens else (2, 3)):
            raise InputError(f"input {shown(name)} has {len(shape)} axes; expected [batch, timesteps, features]")
        axes = ("b", "f") if len(shape) == 2 and not tokens else ("b", "t") if tokens else ("b", "t", "f")
        if self.time_first and "t" in axes:
            axes = ("t", "b", *axes[2:])
        size = dict(zip(axes, shape, strict=True))
        features = size.get("f") or self.flow.features(name)
        if "f" in axes and not features:
            raise InputError(f"input {shown(name)}: its number of features is unknown; export the model with shapes")
        spec_shape = [*([size["t"]] if "t" in axes else []), *([features] if "f" in axes else [])]
        tensor = Input(spec_shape, dtype="int32" if tokens else "float32", name=self.name(name, "input"))
        self.inputs.append(tensor)
        self.views[name] = View((tensor,), axes, features or 0, size.get("t"), size.get("b"))
        if axes[0] == "t":
            self.notes.append(
                f"input {shown(name)} has the timesteps first in the file, and the batch first in the spec"
            )

    def _outputs(self, name: str) -> list[Tensor]:
        view = self.view(name, f"output {shown(name)}")
        stacked = "d" in view.axes and "t" not in view.axes  # states; the sequences of two directions are joined
        tensors = [self.part(part) for part in view.parts] if stacked else [self.tensor(view)]
        axes = [axis for axis in view.axes if axis in "btf"]
        if {"1", "d"} & set(view.axes) or axes != sorted(axes, key="btf".index):
            words = ", ".join(AXIS_WORDS[axis] for axis in view.axes)
            self.notes.append(
                f"output {shown(name)} has the axes [{words}] in the file, and is {len(tensors)} of the form "
                f"[{', '.join(AXIS_WORDS[axis] for axis in sorted(axes, key='btf'.index))}] in the spec"
            )
        return tensors

    def view(self, name: str, where: str) -> View:
        if name not in self.views:
            known = "a constant" if name in self.graph.constants else "the result of a node that has no layer"
            raise InputError(f"{where}: {shown(name)} is {known}; expected a value computed from the inputs by layers")
        return self.views[name]

    def part(self, part: Part) -> Tensor:
        """Return the tensor of one part."""
        if isinstance(part, Tensor):
            return part
        layer, kind, direction = part
        label = layer.recurrence.node.label
        if kind == "sequence" and layer.recurrence.directions == 2:
            joined = layer.output(kind)
            assert joined is not None
            units = layer.recurrence.units
            half = slice(units * direction, units * (direction + 1))
            taken: Tensor = GetItem((..., half), name=self.name("direction", ""))(joined)
            return taken
        if kind == "sequence" and layer.recurrence.direction == "reverse":
            raise InputError(
                f"{label}: its sequence has the order of its input, and Keras's go_backwards returns the reversed one; "
                f"no layer of multilstm reverses it; expected its last state alone"
            )
        tensor = layer.output(kind if layer.recurrence.directions == 1 else f"{kind}:{direction}")
        assert tensor is not None
        return tensor

    def tensor(self, view: View) -> Tensor:
        """Return the tensor of a view, its parts joined along the last axis."""
        if len(view.parts) == 1:
            return self.part(view.parts[0])
        if view.parts in self.joined:
            return self.joined[view.parts]
        first, second = view.parts[:2]
        tensor = None
        if not isinstance(first, Tensor) and not isinstance(second, Tensor) and len(view.parts) == 2:
            layer, kind, direction = first
            if (
                second == Output(layer, kind, 1)
                and direction == 0
                and kind != "cell"
                and layer.recurrence.directions == 2
            ):
                tensor = layer.output(kind)
        if tensor is None:
            tensor = Concatenate(name=self.name("concatenate", ""))([self.part(part) for part in view.parts])
        self.joined[view.parts] = tensor
        return tensor

    def _node(self, node: Node) -> None:
        handler = _HANDLERS.get(node.op)
        if node.op in ACTIVATIONS:
            handler = _Translator.activation
        if handler is None:
            raise InputError(f"{node.label}: multilstm has no layer for this operator")
        view = handler(self, node)
        if node.outputs:
            self.views[node.outputs[0]] = view

    def move(self, node: Node) -> View:
        """Return the view behind a node that moves numbers, or looks up rows of a constant table."""
        table = self.graph.constants.get(node.input(0))
        if node.op == "Gather" and table is not None and table.ndim == 2 and not node.attributes.get("axis"):
            return self._embedding(node, table)
        view = self.view(node.input(0), node.label)
        return last_timestep(self, node, view) or moved(node, view, self.graph.constants, self.graph.opset)

    def _embedding(self, node: Node, table: Array) -> View:
        tokens = self.view(node.input(1), node.label)
        if "f" in tokens.axes:
            raise InputError(f"{node.label}: it takes tokens of the axes {listed(tokens.axes)}; expected integers")
        name = self.name(node.name, "embedding")
        self.weights[f"{name}/embeddings"] = table
        tensor = Embedding(*table.shape, name=name)(self.tensor(tokens))
        return tokens._replace(parts=(tensor,), axes=(*tokens.axes, "f"), features=table.shape[1])

    def _each(self, view: View, layer: Layer) -> View:
        """Return the view behind a layer along the features: of a stack each part by itself, else the joined parts."""
        parts = [self.part(part) for part in view.parts] if "d" in view.axes else [self.tensor(view)]
        return view._replace(parts=tuple(layer(part) for part in parts))

    def dense(self, node: Node) -> View:
        """Return the view of MatMul or Gemm with a constant matrix, and of an Add of a constant vector behind it."""
        view, kernel = self.view(node.input(0), node.label), self.graph.constants.get(node.input(1))
        scales = [node.attributes.get(key, 1.0) for key in ("alpha", "beta")]
        if kernel is None or kernel.ndim != 2 or view.axes[-1] != "f" or node.attributes.get("transA"):
            raise InputError(f"{node.label}: expected features times a constant matrix")
        if any(scale != 1 for scale in scales):
            raise InputError(f"{node.label}: alpha and beta are {scales}, which no layer has; expected 1")
        kernel = kernel.T if node.attributes.get("transB") else kernel
        output = node
        bias = self.graph.constants.get(node.input(2)) if node.op == "Gemm" else None
        if node.op == "MatMul":
            users = self.flow.consumers.get(node.outputs[0], [])
            if len(users) == 1 and users[0].op == "Add" and node.outputs[0] not in self.graph.outputs:
                output = users[0]
                others = [self.graph.constants.get(name) for name in output.inputs if name != node.outputs[0]]
                bias = others[0] if others else None
        bias = None if bias is None else _vector(bias, kernel.shape[1], len(view.axes))
        output = node if bias is None else output
        if node.input(2) and bias is None:
            raise InputError(f"{node.label}: its bias is no constant vector of {kernel.shape[1]} numbers; expected one")
        name = self.name(node.name, "dense")
        self.weights[f"{name}/kernel"] = kernel
        if bias is not None:
            self.weights[f"{name}/bias"] = bias
        layer = Dense(kernel.shape[1], use_bias=bias is not None, name=name)
        result = self._each(view, layer)._replace(features=kernel.shape[1])
        if output is not node:
            self.fused.add(id(output))
            self.views[output.outputs[0]] = result
        return result

    def activation(self, node: Node) -> View:
        """Return the view of an activation."""
        view = self.view(node.input(0), node.label)
        if node.op == "Selu" and not all(np.allclose(node.attributes.get(key, SELU[key]), SELU[key]) for key in SELU):
            raise InputError(f"{node.label}: alpha and gamma are not those of Keras, {list(SELU.values())}")
        if node.op in ("Softmax", "HardSigmoid", "Elu"):
            rank = len(view.axes)
            axis = node.attributes.get("axis", 1 if self.graph.opset < 13 else -1)
            if node.op == "Softmax" and (axis not in (-1, rank - 1) or view.axes[-1] != "f"):
                raise InputError(f"{node.label}: axis is {shown(axis)}; expected the last one, that of the features")
            alpha, beta = node.attributes.get("alpha"), node.attributes.get("beta")
            activation = "softmax" if node.op == "Softmax" else activation_name(node.op, alpha, beta, node.label)
        else:
            activation = ACTIVATIONS[node.op]
        return self._each(view, Activation(activation, name=self.name(node.name, activation)))

    def concat(self, node: Node) -> View:
        """Return the view of joined features, or of a stack of states."""
        views = [self.view(name, node.label) for name in node.inputs]
        rank, axis = len(views[0].axes), node.attributes.get("axis", 0)
        place = axis + rank * (axis < 0) if isinstance(axis, int) else -1
        if any(len(view.axes) != rank for view in views) or not 0 <= place < rank:
            raise InputError(f"{node.label}: its inputs have different axes; expected the same")
        rest = {view.axes[:place] + view.axes[place + 1 :] for view in views}
        kinds = {view.axes[place] for view in views}
        parts = tuple(part for view in views for part in view.parts)
        if len(rest) == 1 and kinds == {"f"} and "d" not in views[0].axes:
            return views[0]._replace(parts=parts, features=sum(view.features for view in views))
        if len(rest) == 1 and kinds <= {"1", "d"} and all(view.is_stack for view in views):
            return views[0]._replace(parts=parts, axes=(*views[0].axes[:place], "d", *views[0].axes[place + 1 :]))
        raise InputError(f"{node.label}: it joins the axes {listed(sorted(kinds))}; expected features, or states")

    def recurrence(self, node: Node) -> View:
        """Return the view of the sequence of a recurrent node; its states are entered as views."""
        recurrence = read_recurrence(node, self.graph.constants.get)
        view = self.view(node.input(0), node.label)
        expected = ("t", "b", "f") if recurrence.time_first else ("b", "t", "f")
        tensor = self.tensor(view) if "d" not in view.axes else None
        if tensor is not None and view.axes == tuple("1" if axis == "t" else axis for axis in expected):
            tensor = RepeatVector(1, name=self.name("one_timestep", ""))(tensor)
        elif view.axes != expected or tensor is None:
            wrong = f"{node.label}: its input has the axes {listed(AXIS_WORDS[axis] for axis in view.axes)}"
            error = SwappedAxesError if sorted(view.axes) == sorted(expected) and not self.time_first else InputError
            raise error(f"{wrong}; expected {listed(AXIS_WORDS[axis] for axis in expected)}")
        if view.features != recurrence.features:
            raise InputError(f"{node.label}: its input has {view.features} features, W has {recurrence.features}")
        name = self.name(node.name, node.op.lower())
        states = initial_states(self, self.state_inputs, node, name, recurrence, view.batch)
        wanted = None if self.wanted is None else self.wanted[name] or {"hidden"}
        layer = RecurrentLayer(recurrence, name, tensor, states, wanted)
        self.recurrent.append(layer)
        for weight, array in recurrence.weights.items():
            self.budget.take(node.label, array.nbytes)  # many nodes may use one large constant
            self.weights[f"{name}/{weight}"] = array
        count = recurrence.directions
        many = "d" if count == 2 else "1"
        sequence_axes = ("t", many, "b", "f") if recurrence.time_first else ("b", "t", many, "f")
        state_axes = (many, "b", "f") if recurrence.time_first else ("b", many, "f")
        results = {}
        for kind, axes in (("sequence", sequence_axes), ("hidden", state_axes), ("cell", state_axes)):
            parts: tuple[Part, ...] = tuple(Output(layer, kind, number) for number in range(count))
            results[kind] = View(parts, axes, recurrence.units, view.timesteps, view.batch)
        for output, kind in zip(node.outputs[1:], recurrence.states, strict=False):
            self.views[output] = results[kind]
        return results["sequence"]


def _vector(bias: Array, size: int, rank: int) -> Array | None:
    """Return a bias that is added along the features as a vector; None for one along other axes."""
    if bias.ndim > rank or bias.size not in (1, size) or (bias.size > 1 and bias.shape[-1] != size):
        return None
    return np.ascontiguousarray(np.broadcast_to(bias.ravel(), size))


_HANDLERS: dict[str, Callable[[_Translator, Node], View]] = {
    **OF_NORMALIZATION,
    **OF_WINDOWS,
    **dict.fromkeys(MOVES, _Translator.move),
    "Concat": _Translator.concat,
    "Elu": _Translator.activation,
    "Gemm": _Translator.dense,
    "HardSigmoid": _Translator.activation,
    **dict.fromkeys(RECURRENT, _Translator.recurrence),
    "MatMul": _Translator.dense,
    "Softmax": _Translator.activation,
}
