"""Products of inputs and hidden states with the kernels of all gates of a recurrent layer, and their gradients.

Time is the first axis. A kernel `[size, gates * units]` holds the gates along its last axis. With dropout, `x` is
multiplied for each gate by the gate's part of the factor `[gates, batch, size]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent

BiasSum = Callable[[Array], Array]  # from the gradients [timesteps, batch, size] of a bias to [size]


def exact_bias_sum(terms: Array) -> Array:
    """Return the sum over timesteps and sequences."""
    total: Array = terms.reshape(-1, terms.shape[-1]).sum(axis=0)
    return total


class Factors(NamedTuple):
    """Dropout masks, one for each gate, `[gates, batch, size]`; None where nothing is dropped."""

    inputs: Array | None
    hidden: Array | None

    @classmethod
    def of(cls, layer: Recurrent, dropout: Mapping[str, Array]) -> Factors:
        """Return the two masks of a layer by gate; one `[batch, size]` serves all gates."""
        masks = [dropout.get(name) for name in ("dropout", "recurrent_dropout")]
        gates = layer.gate_count
        return cls(*(None if mask is None else np.broadcast_to(mask, (gates, *mask.shape[-2:])) for mask in masks))


def to_gates(x: Array, kernel: Array, gates: int, factor: Array | None) -> Array:
    """Return `x [..., batch, size]` times `kernel [size, gates * units]`, as `[..., batch, gates, units]`."""
    if factor is None:
        return _matmul(x, kernel).reshape(*x.shape[:-1], gates, kernel.shape[1] // gates)
    each = zip(factor, np.split(kernel, gates, axis=1), strict=True)
    return np.stack([_matmul(x * kept, part) for kept, part in each], axis=-2)


def from_gates(d_z: Array, kernel: Array, factor: Array | None) -> Array:
    """Return the gradient of `x` in `to_gates`; `d_z [..., batch, gates, units]` is that of the products."""
    if factor is None:
        return _matmul(d_z.reshape(*d_z.shape[:-2], kernel.shape[1]), kernel.T)
    each = zip(factor, np.split(kernel, len(factor), axis=1), np.moveaxis(d_z, -2, 0), strict=True)
    d_x: Array = np.sum([_matmul(d_gate, part.T) * kept for kept, part, d_gate in each], axis=0)
    return d_x


def d_kernel(x: Array, d_z: Array, factor: Array | None) -> Array:
    """Return the gradient of `kernel` in `to_gates`, summed over all timesteps and sequences."""
    if factor is None:
        d_kernel: Array = _rows(x).T @ d_z.reshape(-1, d_z.shape[-2] * d_z.shape[-1])
        return d_kernel
    each = zip(factor, np.moveaxis(d_z, -2, 0), strict=True)
    return np.hstack([_rows(x * kept).T @ _rows(d_gate) for kept, d_gate in each])


def at_each_timestep(layer: Recurrent, d_outputs: Array | None, shape: tuple[int, ...]) -> Array:
    """Return the gradients of the outputs as `[timesteps, batch, units]`, zero where none arrives."""
    d_each = np.zeros(shape)
    if d_outputs is not None and layer.return_sequences:
        d_each[:] = d_outputs.swapaxes(0, 1)
    elif d_outputs is not None and len(d_each):
        d_each[-1] = d_outputs
    return d_each


def in_order(layer: Recurrent) -> slice:
    """Return the order in which the layer processes the timesteps."""
    return slice(None, None, -1 if layer.go_backwards else 1)


def kept_inputs(layer: Recurrent, inputs: Array, mask: Array | None) -> tuple[Array, Array | None]:
    """Return the inputs `[timesteps, batch, features]` in the order of processing, zero where masked, and the mask.

    The mask is `[timesteps, batch, 1]`, or None.
    """
    order = in_order(layer)
    if mask is None:
        return np.ascontiguousarray(inputs.swapaxes(0, 1)[order]), None
    inputs = np.where(mask[:, :, None], inputs, 0.0)  # NaN times zero would be NaN
    return np.ascontiguousarray(inputs.swapaxes(0, 1)[order]), mask.T[order, :, None]


def _matmul(x: Array, kernel: Array) -> Array:
    """Return `x @ kernel`, as one product of two matrices, which is faster than a product for each timestep."""
    product: Array = (_rows(x) @ kernel).reshape(*x.shape[:-1], kernel.shape[1])
    return product


def _rows(x: Array) -> Array:
    """Return `[..., size]` as a matrix of rows."""
    matrix: Array = x.reshape(-1, x.shape[-1])
    return matrix
