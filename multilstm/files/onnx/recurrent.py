"""The LSTM node of ONNX as a layer of a spec: options, activations, weights in Keras's layout, and outputs.

The operator: https://onnx.ai/onnx/operators/onnx__LSTM.html. Its gates i, o, f, c become i, f, c, o. Its two biases act
as their sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.onnx_graph import Node
from multilstm.spec import LSTM, Bidirectional, Tensor
from multilstm.spec.arrays import Array

__all__ = ["GATES", "STANDARD", "Output", "Recurrence", "RecurrentLayer", "activation_name", "read_recurrence"]

GATES = (0, 2, 3, 1)  # of i, o, f, c: the order i, f, c, o
DIRECTIONS = {"forward": ("",), "reverse": ("",), "bidirectional": ("forward/", "backward/")}
STANDARD = ("Sigmoid", "Tanh", "Tanh")
ALPHA_BETA = {  # the defaults of the activations that take numbers
    "hardsigmoid": (0.2, 0.5), "elu": (1.0, None), "affine": (1.0, 0.0), "leakyrelu": (0.01, None),
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
        activation: that of the candidate and of the output.
        recurrent_activation: that of the gates.
        weights: the weights in Keras's layout, by their names in the layer.
    """

    node: Node
    direction: str
    time_first: bool
    units: int
    features: int
    activation: str
    recurrent_activation: str
    weights: Mapping[str, Array]

    @property
    def directions(self) -> int:
        """The number of directions."""
        return len(DIRECTIONS[self.direction])

    def layer(self, name: str, *, sequences: bool, states: bool) -> LSTM | Bidirectional:
        """Return the layer.

        Args:
            name: its name.
            sequences: whether it returns every timestep.
            states: whether it returns its states too.
        """
        lstm = LSTM(
            self.units,
            activation=self.activation,
            recurrent_activation=self.recurrent_activation,
            use_bias=any(weight.endswith("bias") for weight in self.weights),
            return_sequences=sequences,
            return_state=states,
            go_backwards=self.direction == "reverse",
            name=None if self.directions == 2 else name,
        )
        return Bidirectional(lstm, name=name) if self.directions == 2 else lstm


def read_recurrence(node: Node, constant: Callable[[str], Array | None]) -> Recurrence:
    """Return the content of an LSTM node.

    Args:
        node: the node.
        constant: returns the array of a constant; None for a name that is no constant.

    Raises:
        InputError: for an option that no layer of Keras has, and for weights that are not constant or do not fit.
    """
    attributes = node.attributes
    peepholes = constant(node.input(7))
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
    shapes = [(directions, 4 * units, features), (directions, 4 * units, units), (directions, 8 * units)]
    for label, array, shape in zip("WRB", arrays, shapes, strict=True):
        if array is not None and (array.shape != shape or not units or not features or array.dtype.kind != "f"):
            raise InputError(
                f"{node.label}: {label} is {array.dtype} of the shape {list(array.shape)}; expected floats of W "
                f"[{directions}, 4 * units, features], R [{directions}, 4 * units, units], B [{directions}, 8 * units]"
            )
    if attributes.get("hidden_size", units) != units:
        raise InputError(f"{node.label}: hidden_size is {shown(attributes['hidden_size'])}, but R has {units} units")
    gates, candidate = _activations(node, directions)
    weights: dict[str, Array] = {}
    for number, prefix in enumerate(DIRECTIONS[direction]):
        weights[f"{prefix}kernel"] = _reordered(arrays[0], number)
        weights[f"{prefix}recurrent_kernel"] = _reordered(arrays[1], number)
        if bias is not None:
            first, second = np.split(bias[number], 2)
            with np.errstate(all="ignore"):  # numbers that are not finite are refused later, by name
                added = first + second
            weights[f"{prefix}bias"] = _reordered(added[None], 0)
    time_first = not attributes.get("layout", 0)
    return Recurrence(node, direction, time_first, units, features, candidate, gates, weights)


def _reordered(array: Any, number: int) -> Array:
    gates: list[Any] = np.split(array[number], 4)
    return np.ascontiguousarray(np.concatenate([gates[gate] for gate in GATES]).T)


def _activations(node: Node, directions: int) -> tuple[str, str]:
    """Return the activations of the gates and of the candidate."""
    ops = node.attributes.get("activations") or STANDARD * directions
    if len(ops) != 3 * directions:
        raise InputError(f"{node.label}: given {len(ops)} activations; expected {3 * directions}")
    alphas, betas = (_numbers(node.attributes.get(f"activation_{key}")) for key in ("alpha", "beta"))
    names = []
    for op in ops:  # each takes the next number of a list, if it takes one
        alpha, beta = ALPHA_BETA.get(str(op).lower(), (None, None))
        first = next(alphas, None) if alpha is not None else None
        second = next(betas, None) if beta is not None else None
        names.append(activation_name(str(op), first, second, node.label))
    gates, candidate, output = names[:3]
    if names != [gates, candidate, output] * directions or candidate != output:
        raise InputError(
            f"{node.label}: the activations are {listed(names)}; Keras's LSTM has one for the gates, and one for the "
            f"candidate and the output, in both directions"
        )
    return gates, candidate


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
        labels = ("hidden", "cell") if one else ("hidden:0", "cell:0", "hidden:1", "cell:1")
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
