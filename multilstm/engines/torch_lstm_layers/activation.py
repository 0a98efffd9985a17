"""Activations by name, and as layers with arguments. At a kink, the derivative is the one from the left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's custom

from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.spec import ELU, LeakyReLU, PReLU, ReLU, Softmax

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softmax": lambda z: torch.softmax(z, dim=-1),
    "hard_sigmoid": lambda z: F.relu6(z + 3) / 6,  # the gradient of F.hardsigmoid takes 1 / 6 from float32
    "elu": F.elu,
    "selu": F.selu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),  # F.softplus is the identity above 20
    "softsign": F.softsign,
    "exponential": torch.exp,
    "silu": F.silu,
    "gelu": F.gelu,
    "leaky_relu": lambda z: F.leaky_relu(z, 0.2),
    "relu6": F.relu6,
    "hard_sigmoid_keras2": lambda z: F.hardtanh(0.2 * z + 0.5, 0.0, 1.0),  # torch.clamp has a gradient at both ends
    "mish": F.mish,
    "hard_silu": lambda z: z * F.relu6(z + 3) / 6,  # F.hardswish takes 1 / 6 from float32
    "log_softmax": lambda z: torch.log_softmax(z, dim=-1),
}


@apply.register
def _(layer: ReLU, given: Given) -> Any:
    x = given.input
    above = x if layer.max_value is None else torch.where(x < layer.max_value, x, layer.max_value)
    return torch.where(x > layer.threshold, above, layer.negative_slope * (x - layer.threshold))


@apply.register
def _(layer: LeakyReLU, given: Given) -> Any:
    return F.leaky_relu(given.input, layer.negative_slope)


@apply.register
def _(layer: ELU, given: Given) -> Any:
    return torch.where(given.input > 0, given.input, layer.alpha * torch.expm1(given.input.clamp(max=0.0)))


@apply.register
def _(layer: Softmax, given: Given) -> Any:
    return torch.softmax(given.input, layer.axis)


@apply.register
def _(layer: PReLU, given: Given) -> Any:
    return torch.relu(given.input) - given.weight("alpha") * torch.relu(-given.input)
