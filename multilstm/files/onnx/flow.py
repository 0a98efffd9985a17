"""The nodes of an ONNX graph that lead to its outputs, and values that are zeros or parts of an input.

Programs compute the zero states of an LSTM from the shape of its input. Such values need no layers.
"""

from __future__ import annotations

from multilstm.files.parsers.onnx_graph import RECURRENT, FoldedGraph, Node

__all__ = ["MOVES", "Flow"]

MOVES = ("Cast", "Dropout", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
HOPS = 200  # nodes in a row that are followed; programs write fewer than 20
FILLS = (*MOVES, "Concat", "Expand", "Tile")  # zeros stay zeros


class Flow:
    """The way of values through a graph.

    Args:
        graph: the graph.

    Attributes:
        consumers: the nodes that take a value, by its name.
    """

    def __init__(self, graph: FoldedGraph) -> None:
        self.graph = graph
        self.producers = {output: node for node in graph.nodes for output in node.outputs if output}
        self.consumers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.consumers.setdefault(name, []).append(node)

    def live(self) -> set[int]:
        """Return the nodes that lead to an output, by identity, without those that compute shapes and zeros."""
        live: set[int] = set()
        names = list(self.graph.outputs)
        while names:
            node = self.producers.get(names.pop())
            if node is None or id(node) in live:
                continue
            live.add(id(node))
            if node.op in RECURRENT:
                states = [
                    name
                    for name in node.inputs[5 : 7 if node.op == "LSTM" else 6]
                    if not self.is_zero(name) and not self.origin(name)
                ]
                names += [node.input(0), *states]
            else:
                names += [node.input(0)] if node.op in MOVES and node.op != "Gather" else node.inputs
        return live

    def is_zero(self, name: str) -> bool:
        """Whether a value is left out, or contains zeros alone, whatever its shape."""
        names = [name]
        for _ in range(HOPS):
            if not names:
                return True
            current = names.pop()
            node = self.producers.get(current)
            constant = self.graph.constants.get(current)
            if constant is not None and not constant.any():
                continue
            if node is not None and node.op == "ConstantOfShape":
                value = node.attributes.get("value")
                if value is None or not value.any():
                    continue
            if node is None or node.op not in FILLS:
                return not current
            names += node.inputs if node.op == "Concat" else [node.input(0)]
        return False

    def origin(self, name: str) -> str:
        """Return the input of the graph of which a value is a part; empty for other values."""
        for _ in range(HOPS):
            node = self.producers.get(name)
            if node is None:
                return name if name and name not in self.graph.constants else ""
            if node.op not in MOVES:
                return ""
            name = node.input(0)
        return ""

    def is_data(self, node: Node, name: str) -> bool:
        """Whether a node computes with an input of the graph; other inputs of an LSTM are states and lengths."""
        return node.op not in RECURRENT or name == node.input(0)

    def features(self, name: str) -> int:
        """Return the features of an input without a shape, from the LSTM or matrix that takes it."""
        for _ in range(HOPS):
            nodes = self.consumers.get(name, [])
            weight = self.graph.constants.get(nodes[0].input(1)) if nodes else None
            if weight is not None and nodes[0].op in (*RECURRENT, "MatMul") and weight.ndim in (2, 3):
                return int(weight.shape[0] if nodes[0].op == "MatMul" else weight.shape[-1])
            if not nodes or nodes[0].op not in MOVES or not nodes[0].outputs:
                return 0
            name = nodes[0].outputs[0]
        return 0
