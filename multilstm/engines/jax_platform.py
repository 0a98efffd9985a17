"""JAX as its two engines see it: versions, devices, switches, and the operations of the self-test."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.engines.self_test import Operations


def versions() -> dict[str, str]:
    """JAX and jaxlib."""
    return {"jax": jax.__version__, "jaxlib": importlib.metadata.version("jaxlib")}


def devices() -> list[str]:
    """The devices of the default platform, and the CPU, as `gpu:0 NVIDIA H200` or `cpu`."""
    return [
        *(f"{each.platform}:{each.id} {each.device_kind}" for each in jax.devices() if each.platform != "cpu"),
        "cpu",
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
        "deterministic": "on" if "xla_gpu_deterministic_ops=true" in flags else "off",
        **({"XLA_FLAGS": flags} if flags else {}),
    }


def operations() -> Operations:
    """Jitted `jax.numpy`, with products at precision `highest`, as in `multilstm.scan`."""

    def matmul(left: Any, right: Any) -> Any:
        return jnp.matmul(left, right, precision="highest")

    return Operations(
        jnp.asarray, np.asarray, jax.jit, jnp.sum, matmul, jnp.transpose, jnp.tanh, jax.nn.sigmoid
    )  # fmt: skip
