"""Nodes and constants of an ONNX graph while it is written, with readable names.

The operators: https://onnx.ai/onnx/operators/. A node that is added twice, with the same inputs, exists once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import helper, numpy_helper

from multilstm.spec.arrays import Array
from multilstm.spec.names import unused
from multilstm.spec.shapes import Shape

__all__ = ["LAST", "Node", "Nodes", "Scope", "Value", "safe_name"]

LAST = np.iinfo(np.int64).max  # the end of a Slice that reaches the end of an axis
AXES_ARE_INPUTS = {"ReduceSum": 13}  # the operator set from which the axes are an input; other reductions: 18


def safe_name(name: str, taken: set[str]) -> str:
    """Return a new name of letters, digits, and `_ / . -`, and add it to `taken`."""
    plain = re.sub(r"[^\w/.\-]", "_", name, flags=re.ASCII) or "layer"
    return unused(plain, taken, 0)


class Node(NamedTuple):
    """One node; in the file, it has its outputs up to the last one that is read."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Nodes:
    """All nodes and constants of one graph.

    Args:
        dtype: `float32` or `float64`.
        opset: the version of the operators.

    Attributes:
        constants: arrays by name.
        weights: the names of the constants that hold weights, by layer.
    """

    def __init__(self, dtype: str, opset: int) -> None:
        self.dtype, self.opset = dtype, opset
        self.constants: dict[str, Array] = {}
        self.weights: dict[str, list[str]] = {}
        self._nodes: list[Node] = []
        self._known: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._made: dict[str, str] = {}  # the constants, by the name that was asked for
        self._renamed: dict[str, str] = {}
        self._tensors: set[str] = set()  # the names of all tensors
        self._names: set[str] = set()  # the names of all nodes

    def exact(self, *numbers: float) -> bool:
        """Whether attributes, which are float32 in ONNX, hold the numbers as exactly as the dtype of the graph."""
        return self.dtype == "float32" or all(float(np.float32(number)) == number for number in numbers)

    def tensor(self, name: str) -> str:
        """Return a new name of a tensor, made from `name`."""
        return safe_name(name, self._tensors)

    def node(self, op: str, name: str, inputs: Iterable[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Add a node, and return the names of its outputs, which are made from `outputs`."""
        given = tuple(inputs)
        key = (op, given, len(outputs), repr(sorted(attributes.items())))
        if key not in self._known:
            made = tuple(map(self.tensor, outputs))
            self._nodes.append(Node(op, safe_name(name, self._names), given, made, attributes))
            self._known[key] = made
        return list(self._known[key])

    def constant(self, name: str, array: Array) -> str:
        """Return the name of a constant in the graph; the same name always has the same array."""
        if name not in self._made:
            self._made[name] = self.tensor(name)
            self.constants[self._made[name]] = np.array(array, order="C")
        return self._made[name]

    def rename(self, tensor: str, name: str) -> None:
        """Give a tensor that a node makes a name in the file, unless it already has one."""
        if tensor not in self._renamed:
            self._renamed[tensor] = self.tensor(name)

    def final(self, tensor: str) -> str:
        """Return the name of a tensor in the file."""
        return self._renamed.get(tensor, tensor)

    def protos(self, outputs: Iterable[str]) -> tuple[list[Any], list[Any]]:
        """Return the nodes that lead to some tensors, and their constants, as messages of ONNX."""
        read = set(outputs)
        kept: list[Node] = []
        for node in reversed(self._nodes):
            count = max((place for place, name in enumerate(node.outputs, 1) if name in read), default=0)
            if count:
                read.update(node.inputs)
                kept.append(node._replace(outputs=node.outputs[:count]))
        nodes = [
            helper.make_node(
                node.op,
                [self.final(name) for name in node.inputs],
                [self.final(name) for name in node.outputs],
                node.name,
                **node.attributes,
            )
            for node in reversed(kept)
        ]
        return nodes, [numpy_helper.from_array(a, name) for name, a in self.constants.items() if name in read]


class Scope:
    """The nodes and constants of one layer, whose names begin with that of the layer.

    Args:
        nodes: the nodes of the graph.
        layer: the name of the layer, as in the file.
    """

    def __init__(self, nodes: Nodes, layer: str) -> None:
        self.nodes, self.layer = nodes, layer

    def __call__(self, op: str, *inputs: object, name: str = "", **attributes: Any) -> str:
        """Add a node of one output and return the name of the output.

        Args:
            op: the operator.
            *inputs: tensors; an empty name leaves an input out.
            name: of the node; empty: the layer's name and the operator.
            **attributes: those of the node.
        """
        plain = f"{self.layer}/{op.lower()}"
        (output,) = self.nodes.node(op, name or plain, map(str, inputs), [plain], **attributes)
        return output

    def weight(self, name: str, array: Array, *, counted: bool = True) -> str:
        """Return a constant of the layer in the dtype of the graph; `counted` if it holds weights."""
        constant = self.nodes.constant(f"{self.layer}/{name}", array.astype(self.nodes.dtype))
        if counted and constant not in self.nodes.weights.setdefault(self.layer, []):
            self.nodes.weights[self.layer].append(constant)
        return constant

    def number(self, value: float) -> str:
        """Return a constant number in the dtype of the graph."""
        return self.nodes.constant(f"number/{value!r}", np.asarray(value, self.nodes.dtype))

    def integers(self, *values: int) -> str:
        """Return a constant vector of integers."""
        return self.nodes.constant(f"integers/{'_'.join(map(str, values))}", np.asarray(values, np.int64))

    def integer(self, value: int) -> str:
        """Return a constant integer."""
        return self.nodes.constant(f"integer/{value}", np.asarray(value, np.int64))

    def reduced(self, op: str, tensor: object, *axes: int, keepdims: bool = False) -> str:
        """Return a ReduceSum, ReduceMean or ReduceMax along axes."""
        if self.nodes.opset >= AXES_ARE_INPUTS.get(op, 18):
            return self(op, tensor, self.integers(*axes), keepdims=int(keepdims))
        return self(op, tensor, axes=list(axes), keepdims=int(keepdims))

    def transposed(self, tensor: object, *order: int) -> str:
        """Return a tensor with its axes in another order."""
        return str(tensor) if order == tuple(range(len(order))) else self("Transpose", tensor, perm=list(order))

    def expanded(self, tensor: object, *axes: int) -> str:
        """Return a tensor with new axes of size 1."""
        return self("Unsqueeze", tensor, self.integers(*axes))

    def squeezed(self, tensor: object, *axes: int) -> str:
        """Return a tensor without axes of size 1."""
        return self("Squeeze", tensor, self.integers(*axes))

    def sliced(self, tensor: object, axis: int, start: int, end: int = LAST, step: int = 1) -> str:
        """Return the places of an axis from `start` to before `end`."""
        bounds = (self.integers(start), self.integers(end), self.integers(axis), self.integers(step))
        return self("Slice", tensor, *(bounds if step != 1 else bounds[:3]))

    def size(self, tensor: object, axis: int) -> str:
        """Return the size of an axis, an integer."""
        return self("Gather", self("Shape", tensor), self.integer(axis))

    def shape(self, tensor: object, start: int, end: int = LAST) -> str:
        """Return the sizes of some axes, a vector."""
        return self.sliced(self("Shape", tensor), 0, start, end)


class Value:
    """One tensor of a graph that is written.

    It has the operators that `Layer.output_mask` uses, so that each rule of masks is written once.

    Args:
        scope: the layer that made the tensor.
        name: its name.
        shape: its shape; None is a size that may vary.
        kind: `float`, `integer` or `mask`.
    """

    def __init__(self, scope: Scope, name: str, shape: Shape, kind: str = "float") -> None:
        self.scope, self.name, self.shape, self.kind = scope, name, shape, kind

    def __str__(self) -> str:
        return self.name

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def _mask(self, name: str, shape: Shape) -> Value:
        return Value(self.scope, name, shape, "mask")

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        """Return where both differ; a number is compared in the dtype of the tensor."""
        if isinstance(other, int | float):
            other = self.scope.number(other) if self.kind == "float" else self._token(int(other))
        return self._mask(self.scope("Not", self.scope("Equal", self, other)), self.shape)

    def _token(self, value: int) -> str:
        return self.scope.nodes.constant(f"token/{value}", np.asarray(value, np.int32))

    def __or__(self, other: object) -> Value:
        """Return where either mask is true; `True` is a mask that is true everywhere."""
        if isinstance(other, bool):
            other = self.scope.nodes.constant(f"bool/{other}", np.asarray(other))
        return self._mask(self.scope("Or", self, other), self.shape)

    def __getitem__(self, index: tuple[object, int]) -> Value:
        """Return one place of the last axis, for the index `[..., place]`."""
        _, place = index
        return Value(
            self.scope,
            self.scope("Gather", self, self.scope.integer(place), axis=self.ndim - 1),
            self.shape[:-1],
            self.kind,
        )

    def any(self, axis: int) -> Value:
        """Return where any place of the last axis is true."""
        counts = self.scope.reduced("ReduceSum", self.scope("Cast", self, to=7), axis)
        return self._mask(self.scope("Greater", counts, self.scope.integer(0)), self.shape[:-1])

    def __array_namespace__(self) -> type[_Namespace]:
        return _Namespace


class _Namespace:
    """The functions that `multilstm.spec.arrays.namespace` gives for values."""

    @staticmethod
    def concatenate(values: Sequence[Value], axis: int) -> Value:
        """Return values joined along an axis."""
        first = values[0]
        shape = (*first.shape[:axis], None, *first.shape[axis + 1 :])
        return Value(first.scope, first.scope("Concat", *values, axis=axis), shape, first.kind)
