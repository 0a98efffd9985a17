"""Nodes of ONNX in NumPy, for the evaluator of the package `onnx`, which computes them otherwise than specified.

onnx 1.23 ignores `sequence_lens` and `activations` of LSTM and GRU, and rounds Erf to float32. The formulas are those
of https://onnx.ai/onnx/operators/. Arrays are `[timesteps, batch, features]`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

__all__ = ["NODES"]

Array = np.ndarray
Function = Callable[[Array], Array]
_erf = np.frompyfunc(math.erf, 1, 1)  # NumPy has no error function


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1.0, e) / (1.0 + e)
    return result


# By name: the numbers that an activation takes, and the function of x and these numbers.
ACTIVATIONS: dict[str, tuple[tuple[float, ...], Callable[..., Any]]] = {
    "Affine": ((1.0, 0.0), lambda x, alpha, beta: alpha * x + beta),
    "Elu": ((1.0,), lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))),
    "HardSigmoid": ((0.2, 0.5), lambda x, alpha, beta: np.clip(alpha * x + beta, 0.0, 1.0)),
    "LeakyRelu": ((0.01,), lambda x, alpha: np.where(x > 0, x, alpha * x)),
    "Relu": ((), lambda x: np.maximum(x, 0.0)),
    "Sigmoid": ((), _sigmoid),
    "Softplus": ((), lambda x: np.logaddexp(0.0, x)),
    "Softsign": ((), lambda x: x / (1.0 + np.abs(x))),
    "Tanh": ((), np.tanh),
}


def _functions(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> Iterator[Function]:
    """Yield the functions of a node; each activation that takes a number takes the next one of the attribute."""
    rest = [iter(alphas or ()), iter(betas or ())]
    for name in names:
        defaults, function = ACTIVATIONS[name]
        numbers = [next(given, default) for given, default in zip(rest, defaults, strict=False)]
        yield functools.partial(_applied, function, numbers)


def _applied(function: Callable[..., Any], numbers: Sequence[float], x: Array) -> Array:
    result: Array = function(x, *numbers)
    return result


class _Recurrent(OpRun):  # type: ignore[misc]
    """A recurrent node: the loop over directions and timesteps, with a length for each sequence."""

    op_domain = ""
    standard: tuple[str, ...]
    state_count = 1

    def cell(
        self, x: Array, states: tuple[Array, ...], w: Array, r: Array, b: Array, f: list[Function]
    ) -> tuple[Array, ...]:
        """Return the states `[batch, units]` after one timestep."""
        raise NotImplementedError

    def _run(self, x: Array, w: Array, r: Array, *others: Any, **attributes: Any) -> tuple[Array, ...]:
        b, lengths, *starts = [*others, *[None] * (2 + self.state_count - len(others))][: 2 + self.state_count]
        (timesteps, batch, _), units = x.shape, r.shape[-1]
        ends = np.full(batch, timesteps) if lengths is None else lengths
        names = attributes.get("activations") or self.standard * len(w)
        functions = list(_functions(names, attributes.get("activation_alpha"), attributes.get("activation_beta")))
        count = len(self.standard)
        outputs = np.zeros((timesteps, len(w), batch, units), x.dtype)
        last = [np.zeros((len(w), batch, units), x.dtype) for _ in starts]
        for direction in range(len(w)):
            backward = direction == 1 or attributes["direction"] == "reverse"
            states = tuple(np.zeros((batch, units), x.dtype) if s is None else s[direction] for s in starts)
            bias = np.zeros(2 * w.shape[1], x.dtype) if b is None else b[direction]
            for t in reversed(range(timesteps)) if backward else range(timesteps):
                after = self.cell(
                    x[t],
                    states,
                    w[direction],
                    r[direction],
                    bias,
                    functions[direction * count : (direction + 1) * count],
                )
                keep = (t < ends)[:, None]
                states = tuple(np.where(keep, new, old) for new, old in zip(after, states, strict=True))
                outputs[t, direction] = np.where(keep, states[0], 0.0)
            for end, state in zip(last, states, strict=True):
                end[direction] = state
        return (outputs, *last)[: len(self.onnx_node.output)]


class LSTM(_Recurrent):
    """LSTM: gates i, o, f, c; no peepholes."""

    standard = ("Sigmoid", "Tanh", "Tanh")
    state_count = 2

    def cell(
        self, x: Array, states: tuple[Array, ...], w: Array, r: Array, b: Array, f: list[Function]
    ) -> tuple[Array, ...]:
        hidden, cell = states
        i, o, g, c = np.split(x @ w.T + hidden @ r.T + np.add(*np.split(b, 2)), 4, axis=-1)
        cell = f[0](g) * cell + f[0](i) * f[1](c)
        return f[0](o) * f[2](cell), cell


class GRU(_Recurrent):
    """GRU: gates z, r, h."""

    standard = ("Sigmoid", "Tanh")

    def cell(
        self, x: Array, states: tuple[Array, ...], w: Array, r: Array, b: Array, f: list[Function]
    ) -> tuple[Array, ...]:
        (hidden,) = states
        of_inputs, of_hidden = np.split(b, 2)
        x_z, x_r, x_h = np.split(x @ w.T + of_inputs, 3, axis=-1)
        h_z, h_r, h_h = np.split(hidden @ r.T + of_hidden, 3, axis=-1)
        z, reset = f[0](x_z + h_z), f[0](x_r + h_r)
        if not self.linear_before_reset:
            h_h = (reset * hidden) @ np.split(r, 3)[2].T + np.split(of_hidden, 3)[2]
            reset = np.ones_like(reset)
        return ((1.0 - z) * f[1](x_h + reset * h_h) + z * hidden,)


class RNN(_Recurrent):
    """RNN: one activation."""

    standard = ("Tanh",)

    def cell(
        self, x: Array, states: tuple[Array, ...], w: Array, r: Array, b: Array, f: list[Function]
    ) -> tuple[Array, ...]:
        return (f[0](x @ w.T + states[0] @ r.T + np.add(*np.split(b, 2))),)


class Erf(OpRun):  # type: ignore[misc]
    """The error function."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.asarray(_erf(x), x.dtype),)


NODES: tuple[type, ...] = (LSTM, GRU, RNN, Erf)
