"""JAX as its two engines see it: versions, devices, switches, and the operations of the self-test."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from multilstm.engines.self_test import Operations


def versions() -> dict[str, str]:
    """JAX and jaxlib."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


def devices() -> list[str]:
    """Every device of every platform, the default first, as `gpu:0 NVIDIA H200` or `cpu:0`."""
    found = jax.devices()
    if found[0].platform != "cpu":
        found = [*found, *jax.devices("cpu")]
    return [
        f"{device.platform}:{device.id}" + ("" if device.platform == "cpu" else f" {device.device_kind}")
        for device in found
    ]


def switches(matmul: str) -> dict[str, str]:
    """Precision, determinism and compiler flags.

    Args:
        matmul: the precision that the engine asks of matrix products.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    return {
        "x64": "on" if jax.config.jax_enable_x64 else "off",
        "matmul": matmul,
        "deterministic": "on" if "xla_gpu_deterministic_ops=true" in flags else "not asked for",
        **({"XLA_FLAGS": flags} if flags else {}),
    }


def operations() -> Operations:
    """Jitted `jax.numpy`, with products at precision `highest`, as in `multilstm.scan`."""

    def matmul(left: Any, right: Any) -> Any:
        return jnp.matmul(left, right, precision="highest")

    return Operations(
        jnp.asarray, np.asarray, jax.jit, jnp.sum, matmul, jnp.transpose, jnp.tanh, jax.nn.sigmoid
    )  # fmt: skip
