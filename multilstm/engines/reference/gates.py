"""Products of inputs and hidden states with the kernels of all gates of a recurrent layer, and their gradients.

Time is the first axis. A kernel `[..., size, gates * units]` holds the gates along its last axis. With dropout, `x` is
multiplied for each gate by the gate's part of the factor `[gates, batch, ..., size]`. The products of an LSTM, a GRU
and a SimpleRNN are those of matrices; those of a ConvLSTM2D are convolutions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from multilstm.engines.reference.windows import Windows
from multilstm.spec import ConvLSTM2D
from multilstm.spec.arrays import Array
from multilstm.spec.layers import Recurrent
from multilstm.spec.shapes import closed

BiasSum = Callable[[Array], Array]  # from the gradients [timesteps, batch, size] of a bias to [size]


def exact_bias_sum(terms: Array) -> Array:
    """Return the sum over timesteps and sequences."""
    total: Array = terms.reshape(-1, terms.shape[-1]).sum(axis=0)
    return total


class Factors(NamedTuple):
    """Dropout masks, one for each gate, `[gates, batch, ..., size]`; None where nothing is dropped."""

    inputs: Array | None
    hidden: Array | None

    @classmethod
    def of(cls, layer: Recurrent, dropout: Mapping[str, Array], rank: int = 2) -> Factors:
        """Return the two masks of a layer by gate; one `[batch, ..., size]`, of `rank` axes, serves all gates."""
        masks = [dropout.get(name) for name in ("dropout", "recurrent_dropout")]
        gates = layer.gate_count
        return cls(*(None if mask is None else np.broadcast_to(mask, (gates, *mask.shape[-rank:])) for mask in masks))


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


class Product(NamedTuple):
    """A product with the kernel of all gates, and its gradients; `to_gates`, `from_gates` and `d_kernel` for matrices.

    Attributes:
        to_gates: maps `x [..., batch, *sizes]`, the kernel, the number of gates and the factor to
            `[..., batch, gates, *sizes of a state]`.
        from_gates: maps the gradient of this result, the kernel and the factor to the gradient of `x`.
        d_kernel: maps `x`, the gradient of the result and the factor to the gradient of the kernel.
    """

    to_gates: Callable[[Array, Array, int, Array | None], Array]
    from_gates: Callable[[Array, Array, Array | None], Array]
    d_kernel: Callable[[Array, Array, Array | None], Array]


def products_of(layer: Recurrent, inputs: Sequence[int]) -> tuple[Product, Product]:
    """Return the products of the inputs and of the hidden states of a layer, whose inputs have the shape `inputs`."""
    if not isinstance(layer, ConvLSTM2D):
        matrices = Product(to_gates, from_gates, d_kernel)
        return matrices, matrices
    batch, _, *image = inputs
    state = closed(layer.state_shapes(tuple(inputs))[0])
    of_inputs = Windows.of((batch, *image), layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    of_hidden = Windows.of(state, layer.kernel_size, (1, 1), "same")
    return _Convolutions(of_inputs).product, _Convolutions(of_hidden).product


@dataclasses.dataclass(frozen=True)
class _Convolutions:
    """Convolutions of images `[..., batch, rows, columns, channels]`, whose windows in a batch of images are given.

    `k` counts the elements of a window, `b` the images, `r` and `s` the windows, `c` and `f` channels and filters.
    """

    windows: Windows

    @property
    def product(self) -> Product:
        return Product(self.to_gates, self.from_gates, self.d_kernel)

    def to_gates(self, x: Array, kernel: Array, gates: int, factor: Array | None) -> Array:
        each = zip(self._elements(x, gates, factor), _parts(kernel, gates), strict=True)
        z = np.stack([np.einsum("kbrsc,kcf->brsf", elements, part, optimize=True) for elements, part in each], axis=1)
        return z.reshape(*x.shape[:-3], *z.shape[1:])

    def from_gates(self, d_z: Array, kernel: Array, factor: Array | None) -> Array:
        by_image = d_z.reshape(-1, *d_z.shape[-4:])
        windows = self._windows(len(by_image))
        d_x = np.zeros((*d_z.shape[:-4], *windows.shape[1:]))
        for gate, part in enumerate(_parts(kernel, d_z.shape[-4])):
            d_elements = np.einsum("brsf,kcf->kbrsc", by_image[:, gate], part, optimize=True)
            d_dropped = windows.scatter(d_elements).reshape(d_x.shape)
            d_x += d_dropped if factor is None else d_dropped * factor[gate]
        return d_x

    def d_kernel(self, x: Array, d_z: Array, factor: Array | None) -> Array:
        by_gate = np.moveaxis(d_z.reshape(-1, *d_z.shape[-4:]), 1, 0)
        each = zip(self._elements(x, len(by_gate), factor), by_gate, strict=True)
        parts = [np.einsum("kbrsc,brsf->kcf", elements, d_gate, optimize=True) for elements, d_gate in each]
        return np.concatenate(parts, axis=-1).reshape(*self.windows.sizes, x.shape[-1], -1)

    def _elements(self, x: Array, gates: int, factor: Array | None) -> list[Array]:
        """Return the elements of all windows for each gate, `[k, b, r, s, c]`."""
        dropped = [x] if factor is None else [x * kept for kept in factor]
        images = [part.reshape(-1, *self.windows.shape[1:]) for part in dropped]
        elements = [self._windows(len(part)).gather(part) for part in images]
        return elements * gates if factor is None else elements

    def _windows(self, images: int) -> Windows:
        return self.windows._replace(shape=(images, *self.windows.shape[1:]))


def _parts(kernel: Array, gates: int) -> Array:
    """Return `kernel [*sizes, c, gates * f]` as `[gates, k, c, f]`."""
    return np.moveaxis(kernel.reshape(-1, kernel.shape[2], gates, kernel.shape[3] // gates), 2, 0)


def at_each_timestep(layer: Recurrent, d_outputs: Array | None, shape: tuple[int, ...]) -> Array:
    """Return the gradients of the outputs as `[timesteps, batch, ...]`, zero where none arrives."""
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
    """Return the inputs `[timesteps, batch, ...]` in the order of processing, zero where masked, and the mask.

    The mask is `[timesteps, batch, 1, ...]`, of the rank of the inputs, or None.
    """
    order = in_order(layer)
    if mask is None:
        return np.ascontiguousarray(inputs.swapaxes(0, 1)[order]), None
    keep = mask.reshape(*mask.shape, *[1] * (inputs.ndim - 2))
    inputs = np.where(keep, inputs, 0.0)  # NaN times zero would be NaN
    return np.ascontiguousarray(inputs.swapaxes(0, 1)[order]), keep.swapaxes(0, 1)[order]


def _matmul(x: Array, kernel: Array) -> Array:
    """Return `x @ kernel`, as one product of two matrices, which is faster than a product for each timestep."""
    product: Array = (_rows(x) @ kernel).reshape(*x.shape[:-1], kernel.shape[1])
    return product


def _rows(x: Array) -> Array:
    """Return `[..., size]` as a matrix of rows."""
    matrix: Array = x.reshape(-1, x.shape[-1])
    return matrix
