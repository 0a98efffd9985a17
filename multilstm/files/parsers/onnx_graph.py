"""The main graph of an ONNX model as plain data, with all constants computed.

Programs that write ONNX often compute an LSTM's weights in the graph, by Slice, Concat and Unsqueeze of constants.
Nodes whose inputs are all constant are executed by NumPy here, so that the others remain. The operators:
https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.errors import InputError, shown
from multilstm.files.parsers.onnx_tensors import tensor_array
from multilstm.files.parsers.parsed import Budget, as_plain, check_name
from multilstm.files.parsers.protobuf import Message, varints
from multilstm.spec.arrays import Array

__all__ = ["RECURRENT", "FoldedGraph", "Node", "as_document", "fold", "folded_graph", "from_document"]

DOMAINS = ("", "ai.onnx")
RECURRENT = ("LSTM", "GRU", "RNN")
DEFINITIONS = ((5, 8), (11, 1))  # of GraphProto, the fields of constants and inputs, and the field of their names
CAST_DTYPES = {1: "f4", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}  # by TensorProto.DataType


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of a graph.

    Attributes:
        name: its name, or its operator and number.
        op: the operator, with the domain in front where that is not ONNX's.
        inputs: the names of its inputs; an input that is left out has an empty name.
        outputs: the names of its outputs.
        attributes: numbers, text and lists of them by name; an array; None for a graph.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, number: int) -> str:
        """Return the name of an input, empty where it is left out."""
        return self.inputs[number] if number < len(self.inputs) else ""

    @property
    def label(self) -> str:
        """The node in messages."""
        return f"node {shown(self.name)} ({shown(self.op)})"


@dataclasses.dataclass(frozen=True)
class FoldedGraph:
    """A graph without nodes of constants.

    Attributes:
        inputs: the name, the number of the data type and the sizes of every input; a size that varies is None.
        outputs: the names of the outputs.
        nodes: the nodes that depend on an input, in the order of the file.
        constants: every constant by name.
        opset: the version of ONNX's operators.
    """

    inputs: tuple[tuple[str, int, tuple[int | None, ...] | None], ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    opset: int


def folded_graph(model: Message, budget: Budget) -> FoldedGraph:
    """Return the main graph of a model.

    Raises:
        InputError: for numbers in other files, for a value with several definitions, and for constants that need more
            memory than `budget` has.
    """
    graph = model.messages(7)[-1]
    if graph.all(15):
        raise InputError("the graph has sparse constants (sparse_initializer); expected dense ones")
    opsets = [opset.integer(2) for opset in model.messages(8) if opset.text(1) in DOMAINS]
    constants: dict[str, Array] = {}
    for tensor in graph.messages(5):
        name = check_name(tensor.text(8), "the graph")
        constants[name] = tensor_array(tensor, f"constant {shown(name)}", budget)
    _check_single(graph)
    nodes = []
    for number, message in enumerate(graph.messages(1)):
        budget.count()
        node = _node(message, number, budget)
        if not node.outputs:
            raise InputError(f"{node.label} has no outputs; the file is broken")
        values = [constants.get(name) for name in node.inputs if name]
        if node.op not in _FOLDED or any(value is None for value in values) or len(values) < len(node.inputs):
            nodes.append(node)
            continue
        result = fold(node, [value for value in values if value is not None], budget)
        constants |= dict.fromkeys(node.outputs[:1], result)
    inputs = [_value_info(message) for message in graph.messages(11)]
    return FoldedGraph(
        tuple(item for item in inputs if item[0] not in constants),
        tuple(message.text(1) for message in graph.messages(12)),
        tuple(nodes),
        constants,
        max(opsets, default=0),
    )


def _check_single(graph: Message) -> None:
    """Raise InputError for a name that several constants, inputs or nodes define: programs take another of them each.

    An input may have the name of a constant, its default.
    """
    tensors, inputs = ([message.text(number) for message in graph.messages(field)] for field, number in DEFINITIONS)
    results = [name for node in graph.messages(1) for name in node.texts(2) if name]
    for names in ([*tensors, *results], [*inputs, *results]):
        for name, count in Counter(names).items():
            if count > 1:
                raise InputError(f"the graph defines {shown(name)} {count} times; expected once; the file is broken")


def _value_info(message: Message) -> tuple[str, int, tuple[int | None, ...] | None]:
    """Return the name, data type and sizes of an input."""
    name = check_name(message.text(1), "the graph")
    for kind in message.messages(2):
        for tensor in kind.messages(1):
            sizes = [tuple(dim.integer(1) or None for dim in shape.messages(1)[:8]) for shape in tensor.messages(2)[:1]]
            return name, tensor.integer(1), sizes[0] if sizes else None
    raise InputError(f"the input {shown(name)} is no tensor; expected tensors")


def _node(message: Message, number: int, budget: Budget) -> Node:
    domain, op = message.text(7), check_name(message.text(4), "the graph")
    attributes: dict[str, Any] = {}
    for attribute in message.messages(5):
        name = check_name(attribute.text(1), "the graph")
        if name in attributes:
            raise InputError(f"a node {shown(op)} has the attribute {shown(name)} twice; the file is broken")
        attributes[name] = _attribute(attribute, f"attribute {shown(name)}", budget)
    return Node(
        check_name(message.text(3), "the graph") or f"{op}_{number}",
        op if domain in DOMAINS else f"{domain}.{op}",
        tuple(check_name(name, "the graph") for name in message.texts(1)),
        tuple(check_name(name, "the graph") for name in message.texts(2)),
        attributes,
    )


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _floats(message: Message, number: int) -> list[float]:
    content = b"".join(value for value in message.all(number) if isinstance(value, bytes))
    return [value for (value,) in struct.iter_unpack("<f", content[: len(content) // 4 * 4])]


def _attribute(message: Message, where: str, budget: Budget) -> Any:
    """Return the value of an attribute; None for a graph."""
    readers: dict[int, Callable[[], Any]] = {
        1: lambda: (_floats(message, 2) or [0.0])[-1],
        2: lambda: _signed(message.integer(3)),
        3: lambda: message.text(4),
        4: lambda: tensor_array(message.messages(5)[-1], where, budget) if message.all(5) else None,
        6: lambda: _floats(message, 7),
        7: lambda: [_signed(value) for packed in message.all(8) for value in varints(packed)],
        8: lambda: message.texts(9),
    }
    fields = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9}  # by type, the field that holds the value
    present = [kind for kind, number in fields.items() if message.all(number)]  # old writers leave the type out
    reader = readers.get(message.integer(20) or (present[0] if present else 0))
    return None if reader is None else reader()


Fold = Callable[[Node, list[Array], Budget], Array]


def fold(node: Node, values: list[Array], budget: Budget) -> Array:
    """Return the first output of a node that moves numbers, for the arrays of its inputs.

    Raises:
        InputError: for arrays that do not fit the node, or that need more memory than `budget` has.
    """
    try:
        return _FOLDED[node.op](node, values, budget)
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{node.label} does not fit its constants ({shown(str(error))}); the file is broken") from None


def _checked(array: Any, node: Node, budget: Budget) -> Array:
    result = np.asarray(array)
    budget.take_array(node.label, result.shape, result.dtype)
    return result


def _constant(node: Node, values: list[Array], budget: Budget) -> Array:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        value = node.attributes.get(name)
        if value is not None:
            kind = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}.get(name)
            return _checked(np.asarray(value, kind), node, budget)
    raise InputError(f"{node.label} has the attributes {shown(list(node.attributes))}; expected dense numbers")


def _axes(node: Node, values: list[Array], rank: int) -> list[int]:
    """Return the axes of an attribute, or of the second input in newer versions."""
    axes = node.attributes.get("axes", values[1] if len(values) > 1 else ())
    return [int(axis) + rank * (axis < 0) for axis in np.ravel(axes)]


def _squeeze(node: Node, values: list[Array], budget: Budget) -> Array:
    axes = _axes(node, values, values[0].ndim)
    return _checked(np.squeeze(values[0], tuple(axes) if axes else None), node, budget)


def _unsqueeze(node: Node, values: list[Array], budget: Budget) -> Array:
    count = len(np.ravel(node.attributes.get("axes", values[1] if len(values) > 1 else ())))
    return _checked(np.expand_dims(values[0], tuple(_axes(node, values, values[0].ndim + count))), node, budget)


def _transpose(node: Node, values: list[Array], budget: Budget) -> Array:
    return _checked(np.transpose(values[0], node.attributes.get("perm")), node, budget)


def _slice(node: Node, values: list[Array], budget: Budget) -> Array:
    data = values[0]
    starts: Any
    ends: Any
    axes: Any
    steps: Any
    if "starts" in node.attributes:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes", range(len(starts))), [1] * len(starts)
    else:
        starts, ends = np.ravel(values[1]), np.ravel(values[2])
        axes = np.ravel(values[3]) if len(values) > 3 else range(len(starts))
        steps = np.ravel(values[4]) if len(values) > 4 else [1] * len(starts)
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return _checked(data[tuple(index)], node, budget)


def _concat(node: Node, values: list[Array], budget: Budget) -> Array:
    budget.take(node.label, sum(value.nbytes for value in values))
    return np.concatenate(values, int(node.attributes["axis"]))


def _reshape(node: Node, values: list[Array], budget: Budget) -> Array:
    data: Array = values[0]
    shape: list[int] = [int(size) for size in np.ravel(values[1])]
    if not node.attributes.get("allowzero"):
        shape = [data.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return _checked(np.reshape(data, shape), node, budget)


def _gather(node: Node, values: list[Array], budget: Budget) -> Array:
    axis = int(node.attributes.get("axis", 0))
    size = math.prod(values[0].shape) // max(values[0].shape[axis], 1) * values[1].size
    budget.take(node.label, size * values[0].itemsize)
    return np.take(values[0], values[1], axis)


def _cast(node: Node, values: list[Array], budget: Budget) -> Array:
    dtype = np.dtype(CAST_DTYPES[node.attributes["to"]])
    budget.take_array(node.label, values[0].shape, dtype)
    return as_plain(values[0].astype(dtype))  # half precision is rounded, then widened


def _filled(node: Node, values: list[Array], budget: Budget) -> Array:
    value = np.ravel(node.attributes.get("value", np.zeros(1, np.float32)))
    shape = [int(size) for size in np.ravel(values[0])]
    budget.take_array(node.label, shape, value.dtype)
    return np.full(shape, value[0])


def _expand(node: Node, values: list[Array], budget: Budget) -> Array:
    shape = np.broadcast_shapes(values[0].shape, tuple(int(size) for size in np.ravel(values[1])))
    budget.take_array(node.label, shape, values[0].dtype)
    return np.broadcast_to(values[0], shape)


def _same(node: Node, values: list[Array], budget: Budget) -> Array:
    return values[0]


_FOLDED: Mapping[str, Fold] = {
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _same,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def as_document(graph: FoldedGraph) -> tuple[dict[str, Any], list[Array]]:
    """Return a graph as values of JSON, with arrays as their numbers, and the arrays.

    Only constants that a node or an output uses are kept.
    """
    arrays: list[Array] = []

    def plain(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        arrays.append(np.array(value, order="C"))
        return {"array": len(arrays) - 1}

    used: Sequence[str] = [*(name for node in graph.nodes for name in node.inputs), *graph.outputs]
    document = {
        "inputs": [[name, kind, sizes] for name, kind, sizes in graph.inputs],
        "outputs": list(graph.outputs),
        "opset": graph.opset,
        "nodes": [
            [node.name, node.op, node.inputs, node.outputs, {key: plain(v) for key, v in node.attributes.items()}]
            for node in graph.nodes
        ],
        "constants": {name: plain(graph.constants[name]) for name in dict.fromkeys(used) if name in graph.constants},
    }
    return document, arrays


def from_document(document: Mapping[str, Any], arrays: Sequence[Array]) -> FoldedGraph:
    """Return the graph of a document of `as_document`."""

    def value(item: Any) -> Any:
        return arrays[item["array"]] if isinstance(item, dict) else item

    return FoldedGraph(
        tuple((name, kind, None if sizes is None else tuple(sizes)) for name, kind, sizes in document["inputs"]),
        tuple(document["outputs"]),
        tuple(
            Node(name, op, tuple(inputs), tuple(outputs), {key: value(item) for key, item in attributes.items()})
            for name, op, inputs, outputs, attributes in document["nodes"]
        ),
        {name: value(item) for name, item in document["constants"].items()},
        document["opset"],
    )
