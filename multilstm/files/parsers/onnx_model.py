"""ONNX models: the main graph as plain data. The schema is onnx/onnx.proto3."""

from __future__ import annotations

from multilstm.errors import InputError, listed
from multilstm.files.parsers.onnx_graph import RECURRENT, as_document, folded_graph
from multilstm.files.parsers.parsed import Budget, Parsed
from multilstm.files.parsers.protobuf import Message

__all__ = ["parse"]


def parse(content: bytes) -> Parsed:
    """Return the main graph of a model: the document has `graph` (see `as_document`), `producer` and `version`."""
    model = Message(content)
    if not model.all(7):
        raise InputError("this looks like ONNX, but it has no graph; copy or download it again")
    graph = folded_graph(model, Budget(len(content)))
    if not any(node.op in RECURRENT for node in graph.nodes):
        operators = dict.fromkeys(node.op for node in graph.nodes)
        raise InputError(
            f"this is ONNX without a node LSTM, GRU or RNN in its main graph; its operators are {listed(operators)}; "
            f"nodes inside of If, Loop or Scan are not read"
        )
    document, arrays = as_document(graph)
    return Parsed({"graph": document, "producer": model.text(2), "version": model.text(3)}, tuple(arrays))
