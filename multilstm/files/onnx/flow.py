"""The nodes of an ONNX graph that lead to its outputs, and values that are zeros or parts of an input.

Programs compute the zero states of an LSTM from the shape of its input. Such values need no layers.
"""

from __future__ import annotations

from multilstm.files.parsers.onnx_graph import RECURRENT, FoldedGraph, Node

__all__ = ["MOVES", "Flow"]

MOVES = ("Cast", "Dropout", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
HOPS = 200  # nodes in a row that are followed; programs write fewer than 20
KEEPS_SIZES = ("Cast", "Dropout", "Identity", "Slice")  # but for a Slice along the features
FILLED = {"ConstantOfShape": 0, "Expand": 1}  # nodes that fill a shape, and their input that holds it
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
        """Return the nodes that lead to an output, by identity, without those that compute shapes and zeros.

        Nodes that take a state from an input of the graph are without need, unless other nodes compute with the input.
        """
        live: set[int] = set()
        data: set[str] = set()
        waiting: dict[str, list[str]] = {}  # by input of the graph, the states that are parts of it
        names = list(self.graph.outputs)
        while names:
            name = names.pop()
            node = self.producers.get(name)
            if node is None:
                data.add(name)
                names += waiting.pop(name, ())
            if node is None or id(node) in live:
                continue
            live.add(id(node))
            if node.op in RECURRENT:
                for state in self.states(node):
                    origin = self.origin(state)
                    (names if not origin or origin in data else waiting.setdefault(origin, [])).append(state)
                names.append(node.input(0))
            else:
                names += [node.input(0)] if node.op in MOVES and node.op != "Gather" else node.inputs
        return live

    def states(self, node: Node) -> list[str]:
        """Return the initial states of a recurrent node that are not zero."""
        given = node.inputs[5 : 7 if node.op == "LSTM" else 6] if node.op in RECURRENT else ()
        return [name for name in given if not self.is_zero(name)]

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

    def zero_sizes(self, name: str) -> tuple[int | None, ...]:
        """Return the sizes of a state of zeros; None for one that is computed."""
        for _ in range(HOPS):
            constant, node = self.graph.constants.get(name), self.producers.get(name)
            if constant is not None:
                return constant.shape
            if node is None or node.op not in (*KEEPS_SIZES, *FILLED) or (node.op == "Slice" and self._cuts(node)):
                break
            if node.op in FILLED:
                return (None, None, self._last_number(node.input(FILLED[node.op])))
            name = node.input(0)
        return (None, None, None)

    def _cuts(self, node: Node) -> bool:
        """Whether a Slice of a state may cut its features."""
        axes = node.attributes.get("axes", self.graph.constants.get(node.input(3)))
        return axes is None or not set(map(int, axes)) <= {0, 1}

    def _last_number(self, name: str) -> int | None:
        """Return the last number of a shape; None for one that is computed, or that Expand may change."""
        for _ in range(HOPS):
            constant, node = self.graph.constants.get(name), self.producers.get(name)
            if constant is not None:
                last = int(constant.ravel()[-1]) if constant.size else 1
                return last if last > 1 else None
            if node is None or node.op != "Concat" or not node.inputs:
                return None
            name = node.inputs[-1]
        return None

    def origin(self, name: str) -> str:
        """Return the input of the graph of which a value is a part; empty for other values."""
        moves = self.moves(name)
        source = moves[0].input(0) if moves else name
        is_input = bool(source) and source not in self.graph.constants and source not in self.producers
        return source if is_input else ""

    def moves(self, name: str) -> list[Node]:
        """Return the nodes in a row that move a value, the first one first."""
        moves: list[Node] = []
        while len(moves) < HOPS and (node := self.producers.get(name)) is not None and node.op in MOVES:
            moves.insert(0, node)
            name = node.input(0)
        return moves

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
