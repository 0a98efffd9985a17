"""The nodes LSTM, GRU and RNN of ONNX as layers of a spec: options, activations, weights in Keras's layout, outputs.

The operators: https://onnx.ai/onnx/operators/onnx__LSTM.html, and so on. The gates i, o, f, c of an LSTM become
i, f, c, o; those of a GRU have Keras's order z, r, h. The two biases act as their sum. A GRU with `linear_before_reset`
has both.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.onnx_graph import Node
from multilstm.spec import GRU, LSTM, Bidirectional, SimpleRNN, Tensor
from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent

__all__ = [
    "GATES",
    "GATE_COUNT",
    "STATES",
    "Output",
    "Recurrence",
    "RecurrentLayer",
    "activation_name",
    "activations_of",
    "read_recurrence",
]

GATES = (0, 2, 3, 1)  # of i, o, f, c: the order i, f, c, o
DIRECTIONS = {"forward": ("",), "reverse": ("",), "bidirectional": ("forward/", "backward/")}
STANDARD = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
GATE_COUNT = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": ("hidden", "cell"), "GRU": ("hidden",), "RNN": ("hidden",)}
ALPHA_BETA = {  # the defaults of the activations that take numbers; NaN: programs differ
    "hardsigmoid": (0.2, 0.5), "elu": (1.0, None), "affine": (math.nan, math.nan), "leakyrelu": (0.01, None),
    "scaledtanh": (None, None), "thresholdedrelu": (1.0, None),
}  # fmt: skip
NAMES = {
    ("sigmoid", None, None): "sigmoid",
    ("tanh", None, None): "tanh",
    ("relu", None, None): "relu",
    ("softsign", None, None): "softsign",
    ("softplus", None, None): "softplus",
    ("elu", 1.0, None): "elu",
    ("affine", 1.0, 0.0): "linear",
    ("hardsigmoid", 0.2, 0.5): "hard_sigmoid_keras2",
    ("hardsigmoid", 0.166667, 0.5): "hard_sigmoid",
}


def activation_name(op: str, alpha: float | None, beta: float | None, where: str) -> str:
    """Return Keras's name of an activation.

    Args:
        op: the name in ONNX.
        alpha: its first number; None: the default of ONNX.
        beta: its second number; None: the default of ONNX.
        where: the node, for the error.
    """
    defaults = ALPHA_BETA.get(op.lower(), (None, None))
    numbers = [
        default if value is None else round(value, 6) for value, default in zip((alpha, beta), defaults, strict=True)
    ]
    name = NAMES.get((op.lower(), numbers[0], numbers[1]))
    if name is None:
        known = dict.fromkeys(key for key, *_ in NAMES)
        raise InputError(
            f"{where}: the activation is {shown(op)} with alpha {numbers[0]} and beta {numbers[1]}; expected one of "
            f"{listed(known)}, with the numbers of Keras"
        )
    return name


@dataclasses.dataclass(frozen=True)
class Recurrence:
    """The content of an LSTM node.

    Attributes:
        node: the node.
        direction: `forward`, `reverse` or `bidirectional`.
        time_first: whether its input has the timesteps before the batch.
        units: the size of the hidden state.
        features: the size of the input.
        activation: that of the candidate, and of the output of an LSTM.
        recurrent_activation: that of the gates; None without gates.
        weights: the weights in Keras's layout, by their names in the layer.
    """

    node: Node
    direction: str
    time_first: bool
    units: int
    features: int
    activation: str
    recurrent_activation: str | None
    weights: Mapping[str, Array]

    @property
    def states(self) -> tuple[str, ...]:
        """The kinds of its states."""
        return STATES[self.node.op]

    @property
    def directions(self) -> int:
        """The number of directions."""
        return len(DIRECTIONS[self.direction])

    def layer(self, name: str, *, sequences: bool, states: bool) -> Recurrent | Bidirectional:
        """Return the layer.

        Args:
            name: its name.
            sequences: whether it returns every timestep.
            states: whether it returns its states too.
        """
        arguments: dict[str, Any] = {
            "activation": self.activation,
            "use_bias": any(weight.endswith("bias") for weight in self.weights),
            "return_sequences": sequences,
            "return_state": states,
            "go_backwards": self.direction == "reverse",
            "name": None if self.directions == 2 else name,
        }
        if self.recurrent_activation is not None:
            arguments["recurrent_activation"] = self.recurrent_activation
        if self.node.op == "GRU":
            arguments["reset_after"] = bool(self.node.attributes.get("linear_before_reset", 0))
        layer = {"LSTM": LSTM, "GRU": GRU, "RNN": SimpleRNN}[self.node.op](self.units, **arguments)
        return Bidirectional(layer, name=name) if self.directions == 2 else layer


def read_recurrence(node: Node, constant: Callable[[str], Array | None]) -> Recurrence:
    """Return the content of a node LSTM, GRU or RNN.

    Args:
        node: the node.
        constant: returns the array of a constant; None for a name that is no constant.

    Raises:
        InputError: for an option that no layer of Keras has, and for weights that are not constant or do not fit.
    """
    direction = _checked_direction(node, constant(node.input(7)))
    arrays = [constant(node.input(index)) for index in (1, 2, 3)]
    for index, array in enumerate(arrays, 1):
        if array is None and (node.input(index) or index < 3):
            raise InputError(
                f"{node.label}: the weight {'WRB'[index - 1]}, {shown(node.input(index))}, is computed from an input; "
                f"expected a constant; export the model in inference mode"
            )
    kernel, recurrent, bias = arrays
    directions = len(DIRECTIONS[direction])
    units = recurrent.shape[-1] if recurrent is not None and recurrent.ndim == 3 else 0
    features = kernel.shape[-1] if kernel is not None and kernel.ndim == 3 else 0
    count = GATE_COUNT[node.op]
    rows = count * units
    shapes = [(directions, rows, features), (directions, rows, units), (directions, 2 * rows)]
    for label, array, shape in zip("WRB", arrays, shapes, strict=True):
        if array is not None and (array.shape != shape or not units or not features or array.dtype.kind != "f"):
            raise InputError(
                f"{node.label}: {label} is {array.dtype} of the shape {list(array.shape)}; expected floats of W "
                f"[{directions}, {count} * units, features], R [{directions}, {count} * units, units], "
                f"B [{directions}, {2 * count} * units]"
            )
    if node.attributes.get("hidden_size", units) != units:
        raise InputError(
            f"{node.label}: hidden_size is {shown(node.attributes['hidden_size'])}, but R has {units} units"
        )
    gates, candidate = activations_of(node, directions)
    weights: dict[str, Array] = {}
    for number, prefix in enumerate(DIRECTIONS[direction]):
        weights[f"{prefix}kernel"] = _reordered(node.op, arrays[0], number)
        weights[f"{prefix}recurrent_kernel"] = _reordered(node.op, arrays[1], number)
        if bias is not None:
            first, second = np.split(bias[number], 2)
            if node.op == "GRU" and node.attributes.get("linear_before_reset", 0):
                weights[f"{prefix}bias"] = np.stack([first, second])
                continue
            with np.errstate(all="ignore"):  # numbers that are not finite are refused later, by name
                added = first + second
            weights[f"{prefix}bias"] = _reordered(node.op, added[None], 0)
    time_first = not node.attributes.get("layout", 0)
    return Recurrence(node, direction, time_first, units, features, candidate, gates, weights)


def _checked_direction(node: Node, peepholes: Array | None) -> str:
    """Return the direction of a node; raise InputError for an option that no layer of Keras has."""
    attributes = node.attributes
    if node.input(7) and (peepholes is None or np.any(peepholes)):
        raise InputError(f"{node.label} has peepholes (P), which Keras's LSTM lacks; expected a node without P")
    if node.input(4):
        raise InputError(
            f"{node.label} has sequence_lens, a length for each sequence; multilstm masks timesteps instead; export "
            f"the model without lengths"
        )
    if "clip" in attributes or attributes.get("input_forget"):
        raise InputError(f"{node.label} has clip or input_forget, which Keras's LSTM lacks; expected neither")
    direction = attributes.get("direction", "forward")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise InputError(f"{node.label}: direction is {shown(direction)}; expected one of {listed(DIRECTIONS)}")
    return direction


def _reordered(op: str, array: Any, number: int) -> Array:
    if op != "LSTM":
        return np.ascontiguousarray(array[number].T)
    gates: list[Any] = np.split(array[number], 4)
    return np.ascontiguousarray(np.concatenate([gates[gate] for gate in GATES]).T)


def activations_of(node: Node, directions: int) -> tuple[str | None, str]:
    """Return the activations of the gates, None without gates, and of the candidate."""
    count = len(STANDARD[node.op])
    ops = node.attributes.get("activations") or STANDARD[node.op] * directions
    if len(ops) != count * directions:
        raise InputError(f"{node.label}: given {len(ops)} activations; expected {count * directions}")
    alphas, betas = (_numbers(node.attributes.get(f"activation_{key}")) for key in ("alpha", "beta"))
    names = []
    for op in ops:  # each takes the next number of a list, if it takes one
        alpha, beta = ALPHA_BETA.get(str(op).lower(), (None, None))
        first = next(alphas, None) if alpha is not None else None
        second = next(betas, None) if beta is not None else None
        names.append(activation_name(str(op), first, second, node.label))
    if names != names[:count] * directions or (names[1:2] != names[2:3] and count == 3):
        raise InputError(
            f"{node.label}: the activations are {listed(names)}; Keras's {node.op} has one for the gates, and one for "
            f"the candidate and the output, in both directions"
        )
    return (names[0] if count > 1 else None), names[min(1, count - 1)]


def _numbers(values: Any) -> Iterator[float]:
    return iter(values if isinstance(values, list) else ())


class RecurrentLayer:
    """One layer in a graph, and its outputs by kind.

    The kinds are `sequence`, `hidden` and `cell`, followed by `:0` or `:1` for the states of one of two directions.
    Without `:`, `sequence` and `hidden` of two directions are joined along their last axis.

    Args:
        recurrence: the node.
        name: the name of the layer.
        inputs: its input.
        states: its initial states, or None.
        wanted: the kinds that the graph needs; None: all.
    """

    def __init__(
        self,
        recurrence: Recurrence,
        name: str,
        inputs: Tensor,
        states: Sequence[Tensor] | None,
        wanted: set[str] | None,
    ) -> None:
        self.recurrence, self.name = recurrence, name
        self.requested: set[str] = set()  # the kinds that `output` was asked for
        one = recurrence.directions == 1
        kinds = {"sequence", "hidden", "cell", "hidden:0"} if wanted is None else wanted
        sequences = "sequence" in kinds
        with_states = any(":" in kind or kind == "cell" for kind in kinds) or (sequences and "hidden" in kinds)
        outputs = recurrence.layer(name, sequences=sequences, states=with_states)(inputs, states)
        first, *others = outputs if isinstance(outputs, list) else [outputs]
        kinds_of_states = recurrence.states
        labels = kinds_of_states if one else tuple(f"{kind}:{k}" for k in (0, 1) for kind in kinds_of_states)
        self._tensors = {"sequence" if sequences else "hidden": first}
        self._tensors |= dict(zip(labels, others, strict=False))

    def output(self, kind: str) -> Tensor | None:
        """Return an output; None for two joined states, if the layer returns them one by one."""
        self.requested.add(kind)
        return self._tensors.get(kind)


class Output(NamedTuple):
    """One output of a layer in one direction: `sequence`, `hidden` or `cell`."""

    layer: RecurrentLayer
    kind: str
    direction: int
