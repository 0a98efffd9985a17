"""The product of inputs or hidden states with their kernel, under dropout (see `dropout.py`), and its derivatives."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


def precision() -> str | None:
    """The full precision of the dtype on every device, unless the user has set `jax_default_matmul_precision`."""
    return "highest" if jax.config.jax_default_matmul_precision is None else None


def matmul(left: jax.Array, right: jax.Array) -> jax.Array:
    """A matrix product in the precision of `precision`."""
    return jnp.matmul(left, right, precision=precision())


def project(kernel: jax.Array, dropout: jax.Array | None, v: jax.Array) -> jax.Array:
    """`(v * dropout) @ kernel`.

    Args:
        kernel: `[size, 4 * units]`.
        dropout: what `v` is multiplied by, `[batch, size]`, or `[4, batch, size]` by gate; None: nothing.
        v: `[..., batch, size]`.

    Returns:
        `[..., batch, 4 * units]`.
    """
    if dropout is None or dropout.ndim == 2:
        return matmul(_drop(v, dropout), kernel)
    gates = zip(dropout, jnp.split(kernel, 4, -1), strict=True)
    return jnp.concatenate([matmul(v * each, part) for each, part in gates], -1)


class Pulled(NamedTuple):
    """A kernel as `pull_input` wants it.

    Attributes:
        kernel: `[size, 4 * units]`, or transposed.
        gates: which axis has the gates, and meets `dz`: 1, or 0.
    """

    kernel: jax.Array
    gates: int


def pull_input(pulled: Pulled, dropout: jax.Array | None, dz: jax.Array) -> jax.Array:
    """The derivative of `project` by `v`.

    Args:
        pulled: the kernel.
        dropout: see `project`.
        dz: the derivative by what `project` returned, `[..., batch, 4 * units]`.

    Returns:
        `[..., batch, size]`.
    """
    kernel, axis = pulled

    def pull(dz: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.tensordot(dz, kernel, axes=(-1, axis), precision=precision())

    if dropout is None or dropout.ndim == 2:
        return _drop(pull(dz, kernel), dropout)
    gates = zip(dropout, jnp.split(dz, 4, -1), jnp.split(kernel, 4, axis), strict=True)
    parts = [pull(part, of_gate) * each for each, part, of_gate in gates]
    return parts[0] + parts[1] + parts[2] + parts[3]


def pull_kernel(dropout: jax.Array | None, v: jax.Array, dz: jax.Array) -> jax.Array:
    """The derivative of `project` by the kernel, `[size, 4 * units]`: one product over all of `v`'s leading axes.

    Args:
        dropout: see `project`.
        v: `[..., batch, size]`.
        dz: the derivative by what `project` returned, `[..., batch, 4 * units]`.
    """
    axes = tuple(range(v.ndim - 1))
    if dropout is None or dropout.ndim == 2:
        return _over_rows(_drop(v, dropout), dz, axes)
    gates = zip(dropout, jnp.split(dz, 4, -1), strict=True)
    return jnp.concatenate([_over_rows(v * each, part, axes) for each, part in gates], -1)


def sum_rows(dz: jax.Array) -> jax.Array:
    """The sum over all axes but the last, as a product with ones: on a CPU several times faster than a reduction."""
    return _over_rows(jnp.ones(dz.shape[:-1], dz.dtype), dz, tuple(range(dz.ndim - 1)))


def _drop(v: jax.Array, dropout: jax.Array | None) -> jax.Array:
    return v if dropout is None else v * dropout


def accumulator(dtype: jnp.dtype) -> jnp.dtype:
    """The dtype in which sums over many rows are kept: float32 for the half precisions."""
    return jnp.promote_types(dtype, "float32")


def _over_rows(left: jax.Array, right: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    dtype = accumulator(right.dtype)
    return jnp.tensordot(left, right, axes=(axes, axes), precision=precision(), preferred_element_type=dtype)
