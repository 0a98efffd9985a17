"""Dense layers and activations whose gradient ignores rows that no gradient reaches.

A masked timestep may hold NaN, and only the LSTM leaves masked timesteps out. A Dense layer or an activation below the
LSTM computes them. Plain differentiation then gives `0 * NaN = NaN` as the gradient of the kernel. Here a row
`[features]` whose output has a zero gradient contributes zero, also if it holds NaN:

    y = a(z),  z = x @ kernel + bias                                    [..., units]
    dz = a'(z) dy where dy is not all zero, else 0                      [..., units]
    dkernel = x.T @ dz (x taken as 0 in such rows);  dbias = sum(dz);  dx = dz @ kernel.T
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from multilstm.scan.activations import activate, activate_and_keep, check_activation, pullback
from multilstm.scan.loops.projection import add_bias, matmul, precision


def dense(
    kernel: jax.Array | None,
    bias: jax.Array | None,
    x: jax.Array,
    activation: str = "linear",
    custom_gradient: bool = True,
) -> jax.Array:
    """Return `activation(x @ kernel + bias)` over the last axis.

    Args:
        kernel: `[features, units]`, or None to apply the activation alone.
        bias: `[units]`, or None.
        x: `[..., features]`.
        activation: one of `multilstm.scan.ACTIVATIONS`.
        custom_gradient: the gradient above; False: plain differentiation, which allows forward mode.

    Returns:
        `[..., units]`.

    Raises:
        InputError: for an unknown activation.
    """
    check_activation("activation", activation)
    if custom_gradient:
        return _dense_custom(activation, kernel, bias, x)
    return _dense(activation, kernel, bias, x)


def _preactivation(kernel: jax.Array | None, bias: jax.Array | None, x: jax.Array) -> jax.Array:
    z = x if kernel is None else matmul(x, kernel)
    return add_bias(z, bias)


def _dense(activation: str, kernel: jax.Array | None, bias: jax.Array | None, x: jax.Array) -> jax.Array:
    return activate(activation, _preactivation(kernel, bias, x))


def _dense_forward(
    activation: str, kernel: jax.Array | None, bias: jax.Array | None, x: jax.Array
) -> tuple[jax.Array, Any]:
    y, kept = activate_and_keep(activation, _preactivation(kernel, bias, x))
    return y, (kernel, bias, x, kept)


def _dense_backward(activation: str, residuals: Any, dy: jax.Array) -> Any:
    kernel, bias, x, kept = residuals
    reached = (dy != 0).any(-1, keepdims=True)
    dz = jnp.where(reached, pullback(activation, kept)[1](dy), 0)
    rows = tuple(range(x.ndim - 1))
    dbias = None if bias is None else dz.sum(rows)
    if kernel is None:
        return None, dbias, dz
    dkernel = jnp.tensordot(jnp.where(reached, x, 0), dz, axes=(rows, rows), precision=precision())
    return dkernel, dbias, matmul(dz, kernel.T)


_dense_custom = jax.custom_vjp(_dense, nondiff_argnums=(0,))
_dense_custom.defvjp(_dense_forward, _dense_backward)
