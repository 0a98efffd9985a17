"""Activations of the spec as nodes, and as names and numbers in the attributes of recurrent nodes.

Numbers in attributes are float32 in ONNX. A graph in float64 whose number float32 does not hold gets other nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from multilstm.conversion.onnx.nodes import Scope

__all__ = ["RECURRENT", "activated", "elu", "leaky", "recurrent_attributes"]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
PLAIN = {
    "exponential": "Exp",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
}
RECURRENT: dict[str, tuple[str, tuple[float, ...]]] = {  # ONNX's name, with alpha and beta where it takes them
    "tanh": ("Tanh", ()),
    "sigmoid": ("Sigmoid", ()),
    "relu": ("Relu", ()),
    "hard_sigmoid": ("HardSigmoid", (1 / 6, 0.5)),
    "hard_sigmoid_keras2": ("HardSigmoid", (0.2, 0.5)),
    "elu": ("Elu", (1.0,)),
    "leaky_relu": ("LeakyRelu", (0.2,)),
    "linear": ("Affine", (1.0, 0.0)),
    "softplus": ("Softplus", ()),
    "softsign": ("Softsign", ()),
}


def activated(scope: Scope, activation: str | None, x: object) -> str:
    """Return a tensor behind an activation of Keras."""
    if activation in (None, "linear"):
        return str(x)
    return scope(PLAIN[activation], x) if activation in PLAIN else COMPOSED[str(activation)](scope, x)


def elu(scope: Scope, x: object, alpha: float) -> str:
    """Return `x` above 0, and `alpha * (exp(x) - 1)` elsewhere."""
    if scope.nodes.exact(alpha):
        return scope("Elu", x, alpha=alpha)
    return _above_zero(scope, x, scope("Mul", scope("Elu", x, alpha=1.0), scope.number(alpha)))


def leaky(scope: Scope, x: object, slope: float) -> str:
    """Return `x` above 0, and `slope * x` elsewhere."""
    if scope.nodes.exact(slope):
        return scope("LeakyRelu", x, alpha=slope)
    return _above_zero(scope, x, scope("Mul", x, scope.number(slope)))


def _above_zero(scope: Scope, x: object, other: str) -> str:
    return scope("Where", scope("Greater", x, scope.number(0.0)), x, other)


def _hard_sigmoid(scope: Scope, x: object) -> str:
    if scope.nodes.exact(1 / 6):
        return scope("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    line = scope("Clip", scope("Add", x, scope.number(3.0)), scope.number(0.0), scope.number(6.0))
    return scope("Div", line, scope.number(6.0))


def _hard_sigmoid_keras2(scope: Scope, x: object) -> str:
    if scope.nodes.exact(0.2):
        return scope("HardSigmoid", x, alpha=0.2, beta=0.5)
    line = scope("Add", scope("Mul", x, scope.number(0.2)), scope.number(0.5))
    return scope("Clip", line, scope.number(0.0), scope.number(1.0))


def _selu(scope: Scope, x: object) -> str:
    if scope.nodes.exact(SELU_ALPHA, SELU_SCALE):
        return scope("Selu", x)
    return scope("Mul", elu(scope, x, SELU_ALPHA), scope.number(SELU_SCALE))


def _gelu(scope: Scope, x: object) -> str:
    """Return `x * (1 + erf(x / sqrt(2))) / 2`."""
    error = scope("Erf", scope("Mul", x, scope.number(math.sqrt(0.5))))
    return scope("Mul", x, scope("Mul", scope("Add", error, scope.number(1.0)), scope.number(0.5)))


def _mish(scope: Scope, x: object) -> str:
    """Return `x * tanh(softplus(x))`; the node Mish begins with version 18 of the operators."""
    return scope("Mul", x, scope("Tanh", scope("Softplus", x)))


COMPOSED: dict[str, Callable[[Scope, object], str]] = {
    "elu": lambda scope, x: elu(scope, x, 1.0),
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_sigmoid_keras2": _hard_sigmoid_keras2,
    "hard_silu": lambda scope, x: scope("Mul", x, _hard_sigmoid(scope, x)),
    "leaky_relu": lambda scope, x: leaky(scope, x, 0.2),
    "log_softmax": lambda scope, x: scope("LogSoftmax", x, axis=-1),
    "mish": _mish,
    "relu6": lambda scope, x: scope("Clip", x, scope.number(0.0), scope.number(6.0)),
    "selu": _selu,
    "silu": lambda scope, x: scope("Mul", x, scope("Sigmoid", x)),
    "softmax": lambda scope, x: scope("Softmax", x, axis=-1),
}


def recurrent_attributes(names: Sequence[str], standard: Sequence[str], directions: int) -> dict[str, Any]:
    """Return the attributes of a recurrent node for its activations; none for the standard ones.

    Args:
        names: Keras's names in the order of the node.
        standard: the names that the node has without attributes.
        directions: the number of directions, each with the same activations.
    """
    if list(names) == list(standard):
        return {}
    rows = [RECURRENT[name] for name in names] * directions
    numbers = {
        f"activation_{kind}": [values[place] for _, values in rows if len(values) > place]
        for place, kind in enumerate(("alpha", "beta"))
    }
    return {"activations": [op for op, _ in rows], **{kind: values for kind, values in numbers.items() if values}}
