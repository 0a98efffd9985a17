"""LSTM and GRU of PyTorch on a CPU, with the weights of Keras: the operators `torch.lstm` and `torch.gru`.

On a CPU, Keras 3.15.1 computes a Python loop that reads `projected[t]` in each timestep. PyTorch differentiates such an
index into a tensor of the whole sequence, so the time of a gradient grows with the square of the timesteps. Here it
grows in proportion to them. A loop over `unbind` computes other activations than tanh and sigmoid. It also serves
`torch.func`, forward-mode differentiation and `torch.jit.trace`, which the operators do not support.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from multilstm.frameworks import private_torch

Activation = Callable[[Any], Any]


def is_possible(sequences: Any) -> bool:
    """Return whether the functions here compute these sequences: float32 or float64 on a CPU, not being compiled."""
    return (
        sequences.device.type == "cpu"
        and sequences.dtype in (torch.float32, torch.float64)
        and 0 not in sequences.shape[:2]
        and not torch.compiler.is_compiling()
    )


def lstm(
    sequences: Any,
    hidden: Any,
    cell: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    activations: tuple[Activation, Activation] | None,
) -> tuple[Any, list[Any]]:
    """Return the hidden state of every timestep, and the states after the last one.

    Args:
        sequences: `[batch, timesteps, features]`.
        hidden: `[batch, units]`.
        cell: `[batch, units]`.
        kernel: `[features, 4 * units]`, gates in the order i, f, c, o, which is PyTorch's too.
        recurrent_kernel: `[units, 4 * units]`.
        bias: `[4 * units]`, or None.
        activations: `activation` and `recurrent_activation` of Keras; None: tanh and sigmoid.

    Returns:
        `[batch, timesteps, units]`, and the hidden and the cell state, each `[batch, units]`.
    """
    if activations is None and _is_plain(sequences, hidden, cell, kernel, recurrent_kernel, bias):
        weights = _weights(kernel, recurrent_kernel, bias, None if bias is None else torch.zeros_like(bias))
        outputs, hidden, cell = torch.lstm(sequences, (hidden[None], cell[None]), weights, **_options(bias))
        return outputs, [hidden[0], cell[0]]
    activation, recurrent_activation = activations or (torch.tanh, torch.sigmoid)
    outputs = []
    for projected in _projected(sequences, kernel, bias):
        i, f, c, o = (projected + hidden @ recurrent_kernel).chunk(4, dim=1)
        cell = recurrent_activation(f) * cell + recurrent_activation(i) * activation(c)
        hidden = recurrent_activation(o) * activation(cell)
        outputs.append(hidden)
    return torch.stack(outputs, dim=1), [hidden, cell]


def gru(
    sequences: Any,
    hidden: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    activations: tuple[Activation, Activation] | None,
) -> tuple[Any, list[Any]]:
    """Return the hidden state of every timestep, and the one after the last; of a GRU with `reset_after=True`.

    Args:
        sequences: `[batch, timesteps, features]`.
        hidden: `[batch, units]`.
        kernel: `[features, 3 * units]`, gates in the order z, r, h.
        recurrent_kernel: `[units, 3 * units]`.
        bias: `[2, 3 * units]`, or None.
        activations: see `lstm`.

    Returns:
        `[batch, timesteps, units]`, and the hidden state `[batch, units]` in a list.
    """
    of_inputs, of_products = (None, None) if bias is None else bias.unbind()
    if activations is None and _is_plain(sequences, hidden, kernel, recurrent_kernel, bias):
        weights = _weights(*map(_in_order_of_torch, (kernel, recurrent_kernel, of_inputs, of_products)))
        outputs, hidden = torch.gru(sequences, hidden[None], weights, **_options(bias))
        return outputs, [hidden[0]]
    activation, recurrent_activation = activations or (torch.tanh, torch.sigmoid)
    outputs = []
    for projected in _projected(sequences, kernel, of_inputs):
        products = hidden @ recurrent_kernel
        x_z, x_r, x_h = projected.chunk(3, dim=1)
        h_z, h_r, h_h = (products if bias is None else products + of_products).chunk(3, dim=1)
        z, r = recurrent_activation(x_z + h_z), recurrent_activation(x_r + h_r)
        hidden = z * hidden + (1 - z) * activation(x_h + r * h_h)
        outputs.append(hidden)
    return torch.stack(outputs, dim=1), [hidden]


def _is_plain(*tensors: Any) -> bool:
    """Return whether the operators compute these tensors: nothing but autograd acts on them."""
    given = [tensor for tensor in tensors if tensor is not None]
    return not torch.jit.is_tracing() and not private_torch.is_transformed_by_torch(given)


def _projected(sequences: Any, kernel: Any, bias: Any) -> Any:
    """Return the inputs times their kernel for each timestep; the gradient of `unbind` is one `stack`."""
    projected = sequences.transpose(0, 1) @ kernel
    return (projected if bias is None else projected + bias).unbind()


def _in_order_of_torch(array: Any) -> Any:
    """Return the gates z, r, h along the last axis in PyTorch's order r, z, h; None for None."""
    if array is None:
        return None
    z, r, h = array.chunk(3, dim=-1)
    return torch.cat([r, z, h], dim=-1)


def _weights(kernel: Any, recurrent_kernel: Any, of_inputs: Any, of_products: Any) -> list[Any]:
    """Return the weights of one layer in PyTorch's layout, with two biases or none."""
    biases = [] if of_inputs is None else [of_inputs, of_products]
    return [kernel.T.contiguous(), recurrent_kernel.T.contiguous(), *biases]


def _options(bias: Any) -> dict[str, Any]:
    return {
        "has_biases": bias is not None,
        "num_layers": 1,
        "dropout": 0.0,
        "train": torch.is_grad_enabled(),
        "bidirectional": False,
        "batch_first": True,
    }
