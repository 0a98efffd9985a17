"""The product of inputs or hidden states with their kernel, with dropout (see `dropout.py`), and its derivatives."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


def precision() -> str | None:
    """Return the full precision of the dtype, or None if the user has set `jax_default_matmul_precision`."""
    return "highest" if jax.config.jax_default_matmul_precision is None else None


def matmul(left: jax.Array, right: jax.Array) -> jax.Array:
    """Return a matrix product in the precision of `precision`."""
    return jnp.matmul(left, right, precision=precision())


def add_bias(z: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Return `z + bias`, over the last axis; `z` without a bias."""
    return z if bias is None else z + lax.broadcast_to_rank(bias, z.ndim)


class Matrix(NamedTuple):
    """A matrix `[in, out]` that rows are multiplied by.

    Attributes:
        array: the matrix; with `left` its transpose, `[out, in]`, made once for many products.
        left: whether rows become columns, with the array on their left; for a few rows and a large matrix this is
            faster on a CPU.
    """

    array: jax.Array
    left: bool = False

    @classmethod
    def of(cls, array: jax.Array, left: bool) -> Matrix:
        """Return the matrix of an array `[in, out]`."""
        return cls(array.T if left else array, left)

    def meet(self, rows: jax.Array) -> jax.Array:
        """Return `[..., rows, out]` from `[..., rows, in]`; with `left`, there are no leading axes."""
        if not self.left:
            return matmul(rows, self.array)
        # The barrier keeps XLA from exchanging both sides again.
        return lax.optimization_barrier(matmul(self.array, rows.T)).T

    def split(self, axis: int) -> list[Matrix]:
        """Return one matrix for each gate; the gates are along the axis `in`, 0, or `out`, 1."""
        return [Matrix(part, self.left) for part in jnp.split(self.array, 4, 1 - axis if self.left else axis)]


def project(kernel: Matrix, dropout: jax.Array | None, v: jax.Array) -> jax.Array:
    """Return `(v * dropout) @ kernel`.

    Args:
        kernel: `[size, 4 * units]`.
        dropout: the factors of `v`, `[batch, size]`, or `[4, batch, size]` by gate; None: no factors.
        v: `[..., batch, size]`.

    Returns:
        `[..., batch, 4 * units]`.
    """
    if dropout is None or dropout.ndim == 2:
        return kernel.meet(_drop(v, dropout))
    gates = zip(dropout, kernel.split(1), strict=True)
    return jnp.concatenate([part.meet(_drop(v, mask)) for mask, part in gates], -1)


def pull_input(transposed: Matrix, dropout: jax.Array | None, dz: jax.Array) -> jax.Array:
    """Return the derivative of `project` by `v`.

    Args:
        transposed: the kernel's transpose, `[4 * units, size]`.
        dropout: see `project`.
        dz: the derivative by the result of `project`, `[..., batch, 4 * units]`.

    Returns:
        `[..., batch, size]`.
    """
    if dropout is None or dropout.ndim == 2:
        return _drop(transposed.meet(dz), dropout)
    gates = zip(dropout, jnp.split(dz, 4, -1), transposed.split(0), strict=True)
    parts = [_drop(of_gate.meet(part), mask) for mask, part, of_gate in gates]
    return parts[0] + parts[1] + parts[2] + parts[3]


def pull_kernel(dropout: jax.Array | None, v: jax.Array, dz: jax.Array) -> jax.Array:
    """Return the derivative of `project` by the kernel, `[size, 4 * units]`: one product over all leading axes of `v`.

    Args:
        dropout: see `project`.
        v: `[..., batch, size]`.
        dz: the derivative by the result of `project`, `[..., batch, 4 * units]`.
    """
    axes = tuple(range(v.ndim - 1))
    if dropout is None or dropout.ndim == 2:
        return _over_rows(_drop(v, dropout), dz, axes)
    gates = zip(dropout, jnp.split(dz, 4, -1), strict=True)
    return jnp.concatenate([_over_rows(_drop(v, mask), part, axes) for mask, part in gates], -1)


def sum_rows(dz: jax.Array) -> jax.Array:
    """Return the sum over all axes but the last, as a product with ones: faster than a reduction on a CPU."""
    return _over_rows(jnp.ones(dz.shape[:-1], dz.dtype), dz, tuple(range(dz.ndim - 1)))


def _drop(v: jax.Array, dropout: jax.Array | None) -> jax.Array:
    return v if dropout is None else v * lax.broadcast_to_rank(dropout, v.ndim)


def accumulator(dtype: jnp.dtype) -> jnp.dtype:
    """Return the dtype of sums over many rows: float32 for the half precisions."""
    return jnp.dtype("float32") if dtype.itemsize < 4 else dtype


def _over_rows(left: jax.Array, right: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    dtype = accumulator(right.dtype)
    return jnp.tensordot(left, right, axes=(axes, axes), precision=precision(), preferred_element_type=dtype)
