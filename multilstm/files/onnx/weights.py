"""The weights of an ONNX graph under the names of a state dict of PyTorch, for an architecture that the user gives.

This serves graphs with nodes that have no layer: their LSTMs, matrices and tables are read all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.onnx.flow import Flow
from multilstm.files.onnx.recurrent import GATE_COUNT, GATES, activations_of
from multilstm.files.onnx.states import check_zeros
from multilstm.files.parsers.onnx_graph import FoldedGraph, Node
from multilstm.files.parsers.parsed import Budget
from multilstm.files.state_dict import Formula
from multilstm.spec.arrays import Array

__all__ = ["NodeWeights", "weights_of"]

DIRECTIONS = {"forward": ("",), "reverse": ("",), "bidirectional": ("", "_reverse")}


class NodeWeights(NamedTuple):
    """Weights by the names of PyTorch, the arguments that a layer of each recurrent node must have, and notes."""

    tensors: dict[str, Array]
    formulas: dict[str, Formula]
    notes: tuple[str, ...]


def weights_of(graph: FoldedGraph) -> NodeWeights:
    """Return the weights of LSTM, MatMul, Gemm and Gather nodes.

    Raises:
        InputError: for an LSTM with options that no layer has, and for weights that are no constants.
    """
    reader = _Reader(graph)
    return NodeWeights(dict(reader.tensors()), reader.formulas, tuple(reader.notes))


class _Reader:
    """The nodes of one graph."""

    def __init__(self, graph: FoldedGraph) -> None:
        self.constants, self.nodes = graph.constants, graph.nodes
        self.flow = Flow(graph)
        self.budget = Budget(sum(array.nbytes for array in graph.constants.values()))
        self.formulas: dict[str, Formula] = {}
        self.notes: list[str] = []
        self.additions = {name: node for node in graph.nodes if node.op == "Add" for name in node.inputs}
        self.sources = {output: node.op for node in graph.nodes for output in node.outputs}

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Yield the weights of all nodes by the names of PyTorch."""
        for node in self.nodes:
            name = node.name.replace(".", "_")
            matrix = self.constants.get(node.input(1))
            if node.op in GATE_COUNT:
                yield from self._recurrent(name, node)
            elif node.op == "MatMul" and matrix is not None and matrix.ndim == 2:
                yield f"{name}.weight", self._taken(matrix, node).T
                bias = self._bias(node.outputs[0])
                if bias is not None:
                    yield f"{name}.bias", bias
            elif node.op == "Gemm" and matrix is not None and matrix.ndim == 2:
                if any(node.attributes.get(key, 1.0) != 1 for key in ("alpha", "beta")):
                    raise InputError(f"{node.label} has alpha or beta, which no layer has; expected 1")
                weight = self._taken(matrix, node)
                yield f"{name}.weight", weight if node.attributes.get("transB") else weight.T
                if node.input(2):
                    yield f"{name}.bias", self._array(node, 2)
            elif node.op == "Gather" and (table := self.constants.get(node.input(0))) is not None and table.ndim == 2:
                yield f"{name}.weight", self._taken(table, node)

    def _recurrent(self, name: str, node: Node) -> Iterator[tuple[str, Array]]:
        attributes = node.attributes
        count = GATE_COUNT[node.op]
        self._check(node)
        direction = attributes.get("direction", "forward")
        if not isinstance(direction, str) or direction not in DIRECTIONS:
            raise InputError(f"{node.label}: direction is {shown(direction)}, expected one of {listed(DIRECTIONS)}")
        suffixes = DIRECTIONS[direction]
        if direction == "reverse":
            self.notes.append(f"{node.label} runs backwards: it needs go_backwards=True")
        gates, candidate = activations_of(node, len(suffixes))
        self.formulas[name] = {
            "activation": (candidate,),
            **({"recurrent_activation": (gates,)} if gates else {}),
            **({"reset_after": (bool(attributes.get("linear_before_reset", 0)),)} if node.op == "GRU" else {}),
        }
        for number, suffix in enumerate(suffixes):
            for part, index in (("ih", 1), ("hh", 2)):
                array = self._array(node, index)
                if array.ndim != 3 or len(array) != len(suffixes) or array.shape[1] % count:
                    raise InputError(
                        f"{node.label}: W or R has the shape {array.shape}, expected [directions, {count}*units, ...]"
                    )
                if part == "hh":
                    check_zeros(self.flow, node, len(suffixes), array.shape[-1], None)
                yield f"{name}.weight_{part}_l0{suffix}", _reordered(node.op, array[number])
            if node.input(3):
                both = self._array(node, 3)
                if both.ndim != 2 or len(both) != len(suffixes) or both.shape[1] % (2 * count):
                    raise InputError(
                        f"{node.label}: B has the shape {both.shape}, expected [directions, {2 * count}*units]"
                    )
                for part, bias in zip(("ih", "hh"), np.split(both[number], 2), strict=True):
                    yield f"{name}.bias_{part}_l0{suffix}", _reordered(node.op, bias)

    def _check(self, node: Node) -> None:
        """Refuse options that no layer has."""
        attributes = node.attributes
        if node.input(7):
            raise InputError(f"{node.label} has peepholes (P), which multilstm does not execute")
        if "clip" in attributes or attributes.get("input_forget"):
            raise InputError(f"{node.label} has clip or input_forget, which multilstm does not execute")
        if any(state in self.constants for state in self.flow.states(node)):
            raise InputError(f"{node.label} has constant initial states that are not zero, which no layer has")

    def _bias(self, output: str) -> Array | None:
        """Return the constant vector that an Add node adds to a tensor, or None."""
        node = self.additions.get(output)
        arrays = [] if node is None else [self.constants.get(name) for name in node.inputs]
        return next((array for array in arrays if array is not None and array.ndim == 1), None)

    def _array(self, node: Node, index: int) -> Array:
        """Return a constant that a node needs."""
        name = node.input(index)
        if name not in self.constants:
            source = self.sources.get(name)
            origin = f"the node {source}" if source else "an input of the graph"
            raise InputError(f"{node.label}: the weight {shown(name)} comes from {origin}; expected a constant")
        return self._taken(self.constants[name], node)

    def _taken(self, array: Array, node: Node) -> Array:
        self.budget.take(node.label, array.nbytes)  # many nodes may use one large constant
        return array


def _reordered(op: str, array: Array) -> Array:
    """Return a weight, whose gates lie along the first axis, with PyTorch's order: LSTM i, f, c, o, GRU r, z, n."""
    gates = np.split(array, GATE_COUNT[op])
    order = {"LSTM": GATES, "GRU": (1, 0, 2)}.get(op, (0,))
    return np.concatenate([gates[gate] for gate in order])
