"""LSTM, GRU, SimpleRNN and Bidirectional as one node LSTM, GRU or RNN of ONNX.

The operators: https://onnx.ai/onnx/operators/onnx__LSTM.html, and so on. They have the timesteps before the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.conversion.onnx.activations import RECURRENT, recurrent_attributes
from multilstm.conversion.onnx.layers import Given, refused
from multilstm.conversion.onnx.masks import KeptTimesteps
from multilstm.conversion.stack import LSTMWeights, to_dialect
from multilstm.errors import listed
from multilstm.spec import GRU, LSTM, Bidirectional
from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent

__all__ = ["RecurrentCall", "Start"]

OPS = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}
STANDARD = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}
Start = Sequence[str] | None  # the initial states of one direction, `[batch, units]` each; None: zeros


class RecurrentCall:
    """The nodes of one call of a recurrent layer.

    Nodes whose tensors nothing reads are left out of the file.

    Args:
        layer: LSTM, GRU, SimpleRNN or Bidirectional.
        given: the arguments of the call.
        starts: the initial states of each direction.

    Attributes:
        states: the states of each direction after the last timestep, `[batch, units]` each.

    Raises:
        UnsupportedError: for a layer without a node, and for an activation that the node lacks.
    """

    def __init__(self, layer: Recurrent | Bidirectional, given: Given, starts: Sequence[Start]) -> None:
        self._layer, self._scope = layer, given.scope
        self._parts: list[Recurrent] = list(layer.recurrent.values())
        if self._parts[0].class_name not in OPS:
            raise refused(layer, "its class", "no nodes of ONNX are its counterpart")
        mask = given.masks[0]
        self._kept = None if mask is None else KeptTimesteps(given.scope, mask)
        self._sequences, *ends = self._node(given, starts)
        self._ends = [[self._of_direction(end, number, 0) for end in ends] for number in range(len(self._parts))]
        self._all_ends = ends
        zero = given.scope.number(0.0)
        self.states = [
            [
                end if self._kept is None else self._kept.if_any(end, zero if start is None else start[field])
                for field, end in enumerate(ends)
            ]
            for ends, start in zip(self._ends, starts, strict=True)
        ]

    @property
    def outputs(self) -> list[str]:
        """The outputs of the layer without its states: one, or two for `merge_mode=None`."""
        layer = self._layer
        if not isinstance(layer, Bidirectional):
            output = self._output(0)
            flips = self._parts[0].go_backwards and self._parts[0].return_sequences
            return [self._scope.sliced(output, 1, -1, np.iinfo(np.int64).min, -1) if flips else output]
        if layer.merge_mode == "concat" and self._kept is None:
            return [self._joined()]
        first, second = self._output(0), self._output(1)
        match layer.merge_mode:
            case "concat":
                return [self._scope("Concat", first, second, axis=-1)]
            case "sum":
                return [self._scope("Add", first, second)]
            case "mul":
                return [self._scope("Mul", first, second)]
            case "ave":
                return [self._scope("Div", self._scope("Add", first, second), self._scope.number(2.0))]
            case _:
                return [first, second]

    def _node(self, given: Given, starts: Sequence[Start]) -> list[str]:
        """Add the node, and return its sequences and its states."""
        scope, inner, kept = given.scope, self._parts[0], self._kept
        source = str(given.x) if kept is None else kept.first(given.x)
        lengths = "" if kept is None else kept.lengths
        inputs = [scope.transposed(source, 1, 0, 2), *self._weights(given), lengths]
        if any(start is not None for start in starts):
            sizes = scope("Concat", scope.shape(given.x, 0, 1), scope.integers(inner.units), axis=0)
            zeros = scope("Expand", scope.number(0.0), sizes)
            for field in range(inner.state_count):
                arrays = [scope.expanded(zeros if start is None else start[field], 0) for start in starts]
                inputs.append(arrays[0] if len(arrays) == 1 else scope("Concat", *arrays, axis=0))
        while not inputs[-1]:
            inputs.pop()
        names = [f"{scope.layer}/{name}" for name in ("sequences", *inner.state_names)]
        return scope.nodes.node(_op(inner), scope.layer, inputs, names, **self._attributes())

    def _attributes(self) -> dict[str, Any]:
        inner = self._parts[0]
        direction = "bidirectional" if len(self._parts) == 2 else "reverse" if inner.go_backwards else "forward"
        gated = isinstance(inner, LSTM | GRU)
        names = [*([inner.recurrent_activation] if gated else []), inner.activation]  # type: ignore[attr-defined]
        names += [inner.activation] if isinstance(inner, LSTM) else []
        op = _op(inner)
        for name in names:
            if name not in RECURRENT:
                raise refused(self._layer, f"the activation {name!r}", f"a node {op} has {listed(RECURRENT)}")
            if not self._scope.nodes.exact(*RECURRENT[name][1]):
                reason = f"a node {op} holds its numbers in float32; convert float32 weights"
                raise refused(self._layer, f"the activation {name!r} in float64", reason)
        attributes = {"hidden_size": inner.units, "direction": direction}
        attributes |= {"linear_before_reset": 1} if isinstance(inner, GRU) and inner.reset_after else {}
        return attributes | recurrent_attributes(names, STANDARD[op], len(self._parts))

    def _weights(self, given: Given) -> list[str]:
        """Return the constants W, R and B; B is left out without a bias."""
        prefixes = [f"{direction}/".removeprefix("/") for direction in self._layer.recurrent]
        cells = [
            {name: given.weights.get(f"{prefix}{name}") for name in ("kernel", "recurrent_kernel", "bias")}
            for prefix in prefixes
        ]
        if isinstance(self._parts[0], LSTM):
            arrays: Mapping[str, Array] = to_dialect([[LSTMWeights(**cell) for cell in cells]], "onnx")  # type: ignore[arg-type]
        else:
            layouts = [_cell(cell) for cell in cells]
            arrays = {name: np.stack([layout[name] for layout in layouts]) for name in layouts[0]}
        return [given.scope.weight(name, arrays[name]) if name in arrays else "" for name in "WRB"]

    def _of_direction(self, tensor: str, number: int, axis: int) -> str:
        if len(self._parts) == 1:
            return self._scope.squeezed(tensor, axis)
        return self._scope("Gather", tensor, self._scope.integer(number), axis=axis)

    def _output(self, number: int) -> str:
        """Return the sequence of one direction in the order of time, or its last output."""
        part, kept = self._parts[number], self._kept
        if not part.return_sequences:
            last = self._ends[number][0]
            if kept is not None:
                last = kept.if_any(last, self._scope.number(0.0))
                last = kept.if_last(last, backward=part.go_backwards) if part.zero_output_for_mask else last
            return last
        sequence = self._scope.transposed(self._of_direction(self._sequences, number, 1), 1, 0, 2)
        if kept is None:
            return sequence
        return kept.in_place(sequence, backward=part.go_backwards, zeros=part.zero_output_for_mask)

    def _joined(self) -> str:
        """Return the outputs of two directions, joined along their features."""
        units = 2 * self._parts[0].units
        if self._parts[0].return_sequences:
            by_batch = self._scope.transposed(self._sequences, 2, 0, 1, 3)
            return self._scope("Reshape", by_batch, self._scope.integers(0, 0, units))
        by_batch = self._scope.transposed(self._all_ends[0], 1, 0, 2)
        return self._scope("Reshape", by_batch, self._scope.integers(0, units))


def _op(layer: Recurrent) -> str:
    return OPS[layer.class_name]


def _cell(weights: Mapping[str, Array | None]) -> dict[str, Array]:
    """Return the weights of a GRU or a SimpleRNN in the layout of ONNX: transposed, and two biases in one array."""
    kernel, recurrent, bias = (weights[name] for name in ("kernel", "recurrent_kernel", "bias"))
    assert kernel is not None
    assert recurrent is not None
    arrays = {"W": kernel.T, "R": recurrent.T}
    if bias is None:
        return arrays
    return {**arrays, "B": np.concatenate([bias, np.zeros_like(bias)]) if bias.ndim == 1 else bias.reshape(-1)}
