"""ONNX models: the weights of LSTM, MatMul, Gemm and Gather nodes, named as a state dict of PyTorch.

The schema is onnx/onnx.proto3; the operators: https://onnx.ai/onnx/operators/onnx__LSTM.html. ONNX orders the gates
i, o, f, c, and holds two biases. Weights must be constants. Numbers in other files are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.parsed import Budget, Parsed, as_plain, bfloat16_to_float32, check_name
from multilstm.files.parsers.protobuf import Message, varints
from multilstm.spec.arrays import Array

__all__ = ["parse"]

DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8", 16: "<u2"}  # of TensorProto.DataType; 16 is bfloat16
BFLOAT16 = 16
TYPED_FIELDS = {1: (4, "<f4"), 11: (10, "<f8")}  # where numbers lie that are not in raw_data
GATES = (0, 2, 3, 1)  # of i, o, f, c: the order i, f, c, o
STANDARD = ["Sigmoid", "Tanh", "Tanh"]
DIRECTIONS = {"forward": ("",), "reverse": ("",), "bidirectional": ("", "_reverse")}


def parse(content: bytes) -> Parsed:
    """Return the weights of a model.

    The document has `tensors` (`[name, array]`), `notes` (sentences on the nodes), `producer` and `version`.
    """
    model = Message(content)
    graphs = model.messages(7)
    if not graphs:
        raise InputError("this looks like ONNX, but it has no graph; copy or download it again")
    reader = _Reader(graphs[-1], Budget(len(content)))
    tensors = dict(reader.tensors())
    if not any(name.endswith("weight_hh_l0") for name in tensors):
        raise InputError(
            f"this is ONNX without an LSTM node in its main graph; its operators are {listed(reader.operators)}; an "
            f"LSTM inside of If, Loop or Scan is not read"
        )
    document = {
        "tensors": [[check_name(name, "the graph"), number] for number, name in enumerate(tensors)],
        "notes": reader.notes,
        "producer": model.text(2),
        "version": model.text(3),
    }
    return Parsed(document, tuple(tensors.values()))


class _Reader:
    """The nodes and the constants of one graph."""

    def __init__(self, graph: Message, budget: Budget) -> None:
        self.budget = budget
        self.notes: list[str] = []
        self.nodes = graph.messages(1)
        self.operators = list(dict.fromkeys(node.text(4) for node in self.nodes))
        self.constants = {tensor.text(8): tensor for tensor in graph.messages(5)}
        self.sources: dict[str, str] = {}
        for node in self.nodes:
            for output in node.texts(2):
                self.sources[output] = node.text(4)
            if node.text(4) == "Constant":
                values = [value for attribute in node.messages(5) for value in attribute.messages(5)]
                self.constants |= dict.fromkeys(node.texts(2), *values[:1]) if values else {}
            elif node.text(4) == "Identity" and node.texts(1)[0] in self.constants:
                self.constants |= dict.fromkeys(node.texts(2), self.constants[node.texts(1)[0]])

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Yield the weights of all nodes by the names of PyTorch."""
        for number, node in enumerate(self.nodes):
            kind = node.text(4)
            name = (node.text(3) or f"{kind}_{number}").replace(".", "_")
            inputs = node.texts(1)
            attributes = {attribute.text(1): attribute for attribute in node.messages(5)}
            if kind == "LSTM":
                yield from self._lstm(name, inputs, attributes)
            elif kind == "MatMul" and len(inputs) == 2 and inputs[1] in self.constants:
                yield f"{name}.weight", self._array(inputs[1], name).T
                bias = self._bias(node.texts(2)[0])
                if bias is not None:
                    yield f"{name}.bias", bias
            elif kind == "Gemm" and len(inputs) >= 2 and inputs[1] in self.constants:
                yield from self._gemm(name, inputs, attributes)
            elif kind == "Gather" and inputs[0] in self.constants and self._rank(inputs[0]) == 2:
                yield f"{name}.weight", self._array(inputs[0], name)

    def _lstm(self, name: str, inputs: Sequence[str], attributes: dict[str, Message]) -> Iterator[tuple[str, Array]]:
        where = f"LSTM {shown(name)}"
        if len(inputs) > 7 and inputs[7]:
            raise InputError(f"{where} has peepholes, which multilstm does not execute")
        if "clip" in attributes or ("input_forget" in attributes and attributes["input_forget"].integer(3)):
            raise InputError(f"{where} has clip or input_forget, which multilstm does not execute")
        direction = attributes["direction"].text(4) if "direction" in attributes else "forward"
        if direction not in DIRECTIONS:
            raise InputError(f"{where}: direction is {shown(direction)}, expected one of {listed(DIRECTIONS)}")
        suffixes = DIRECTIONS[direction]
        if direction == "reverse":
            self.notes.append(f"{where} runs backwards: it needs go_backwards=True")
        activations = attributes["activations"].texts(9) if "activations" in attributes else STANDARD * len(suffixes)
        if activations != STANDARD * len(suffixes):
            self.notes.append(f"{where} has the activations {listed(activations)}; the architecture must have the same")
        weights = {part: self._array(inputs[index], where) for part, index in (("ih", 1), ("hh", 2))}
        both = self._array(inputs[3], where) if len(inputs) > 3 and inputs[3] else None
        for number, suffix in enumerate(suffixes):
            for part, array in weights.items():
                if array.ndim != 3 or len(array) != len(suffixes) or array.shape[1] % 4:
                    raise InputError(
                        f"{where}: W or R has the shape {array.shape}, expected [directions, 4*units, ...]"
                    )
                yield f"{name}.weight_{part}_l0{suffix}", _reordered(array[number])
            if both is not None:
                if both.ndim != 2 or len(both) != len(suffixes) or both.shape[1] % 8:
                    raise InputError(f"{where}: B has the shape {both.shape}, expected [directions, 8*units]")
                for part, bias in zip(("ih", "hh"), np.split(both[number], 2), strict=True):
                    yield f"{name}.bias_{part}_l0{suffix}", _reordered(bias)

    def _gemm(self, name: str, inputs: Sequence[str], attributes: dict[str, Message]) -> Iterator[tuple[str, Array]]:
        scales = [attributes[key].float(2, 1.0) for key in ("alpha", "beta") if key in attributes]
        if any(scale != 1 for scale in scales):
            raise InputError(f"Gemm {shown(name)} has alpha or beta, which no layer has; expected 1")
        weight = self._array(inputs[1], name)
        transposed = "transB" in attributes and attributes["transB"].integer(3)
        yield f"{name}.weight", as_plain(weight if transposed else weight.T)
        if len(inputs) > 2 and inputs[2]:
            yield f"{name}.bias", self._array(inputs[2], name)

    def _bias(self, output: str) -> Array | None:
        """Return the constant vector that an Add node adds to a tensor, or None."""
        for node in self.nodes:
            inputs = node.texts(1)
            if node.text(4) == "Add" and output in inputs:
                others = [name for name in inputs if name != output and name in self.constants]
                if others and self._rank(others[0]) == 1:
                    return self._array(others[0], output)
        return None

    def _rank(self, name: str) -> int:
        return len(_dims(self.constants[name]))

    def _array(self, name: str, where: str) -> Array:
        """Return a constant as an array."""
        if name not in self.constants:
            source = self.sources.get(name)
            origin = f"the node {source}" if source else "an input of the graph"
            raise InputError(
                f"{where}: the weight {shown(name)} comes from {origin}; fold constants, such as with onnxsim"
            )
        tensor = self.constants[name]
        label = f"{where}: weight {shown(name)}"
        kind, dims = tensor.integer(2), _dims(tensor)
        if tensor.integer(14) or tensor.all(13):
            raise InputError(f"{label}: its numbers lie in another file; save the model as one file")
        if kind not in DTYPES:
            raise InputError(f"{label}: its data type is number {kind} of ONNX, expected floats")
        dtype = np.dtype(DTYPES[kind])
        self.budget.count()
        self.budget.take_array(label, dims, dtype)
        content = tensor.data(9)
        if not content and kind in TYPED_FIELDS:
            content = b"".join(value for value in tensor.all(TYPED_FIELDS[kind][0]) if isinstance(value, bytes))
        if len(content) != math.prod(dims) * dtype.itemsize:
            raise InputError(f"{label}: it has {len(content):,} bytes, expected {math.prod(dims) * dtype.itemsize:,}")
        numbers = np.frombuffer(content, dtype).reshape(dims)
        return as_plain(bfloat16_to_float32(numbers) if kind == BFLOAT16 else numbers)


def _dims(tensor: Message) -> list[int]:
    return [size for value in tensor.all(1) for size in varints(value)]


def _reordered(array: Array) -> Array:
    """Return a weight whose gates i, o, f, c lie along the first axis, with the gates i, f, c, o."""
    gates: list[Any] = np.split(array, 4)
    return as_plain(np.concatenate([gates[gate] for gate in GATES]))
