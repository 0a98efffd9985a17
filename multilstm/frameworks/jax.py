"""JAX as its two engines and the benchmarks see it: see `Platform`; and the operations of the self-test."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pathlib
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.frameworks import kernels
from multilstm.frameworks.self_test import Operations


def versions() -> dict[str, str]:
    """JAX and jaxlib."""
    return {"jax": jax.__version__, "jaxlib": importlib.metadata.version("jaxlib")}


_CUDA_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")


def devices() -> list[str]:
    """The devices of the default platform, and the CPU, as `gpu:0 NVIDIA H200` or `cpu`."""
    return [
        *(f"{each.platform}:{each.id} {each.device_kind}" for each in jax.devices() if each.platform != "cpu"),
        "cpu",
    ]


def no_gpu() -> str:
    """See `Platform`."""
    try:
        jax.devices("gpu")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
    else:
        return ""
    found = [name for name in _CUDA_PLUGINS if importlib.util.find_spec(name) is not None]
    if not found:
        return f"JAX {jax.__version__} is installed without CUDA; install it with: pip install 'jax[cuda13]'"
    return f"JAX with {found[0]} finds none ({reason}); see whether nvidia-smi and CUDA_VISIBLE_DEVICES name one"


def set_tf32(allowed: bool) -> None:
    """Whether XLA's products, and cuDNN in `jax.experimental.rnn`, may round float32 to TF32 in what is traced next."""
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "highest")


def implementation(compiled: Any) -> str:
    """What a compiled program holds; one that has run is not compiled again by `lower` and `compile`."""
    return kernels.named(kernels.of_hlo(compiled.as_text() or ""), "XLA's loop")


def launched(function: Callable[[], Any], device: str = "/device:GPU") -> tuple[Any, set[str]]:
    """Calls it: what it gave, and the names of the kernels that ran on the device meanwhile, by JAX's profiler."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # which would note every call of Python, and there are many while a model is traced
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        start = partial(jax.profiler.start_trace, folder, profiler_options=options)
        value, _ = kernels.traced(lambda: jax.block_until_ready(function()), start, jax.profiler.stop_trace)
        read: Any = jax.profiler.ProfileData  # None before JAX 0.7
        files = pathlib.Path(folder).rglob("*.xplane.pb") if read is not None else ()
        planes = [plane for path in files for plane in read.from_file(str(path)).planes]
    return value, {
        event.name for plane in planes if plane.name.startswith(device) for line in plane.lines for event in line.events
    }


def make_deterministic() -> None:
    """XLA is told by a flag before it starts, in `registry`."""


class Watched:
    """A jitted function, compiled once for every signature of its arguments, whose compiled program is read.

    Attributes:
        found: what `kernels.of_hlo` found in the program that ran last.
    """

    def __init__(self, function: Callable[..., Any], static_argnames: str = "") -> None:
        self._jitted = jax.jit(function, static_argnames=static_argnames or None)
        self._compiled: dict[Any, tuple[Any, set[str]]] = {}
        self.found: set[str] = set()

    def __call__(self, *arguments: Any, **static: Any) -> Any:
        """What the function gives."""
        leaves, structure = jax.tree.flatten(arguments)
        key = (structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), *static.items())
        if key not in self._compiled:
            compiled = self._jitted.lower(*arguments, **static).compile()
            self._compiled[key] = compiled, kernels.of_hlo(compiled.as_text() or "")
        compiled, self.found = self._compiled[key]
        return compiled(*arguments)


def places(tree: Any) -> set[str]:
    """The platforms on which the arrays of a tree lie."""
    return {device.platform for array in jax.tree.leaves(tree) for device in array.devices()}


def switches() -> dict[str, str]:
    """Precision, determinism and compiler flags."""
    flags = os.environ.get("XLA_FLAGS", "")
    return {
        "x64": "on" if jax.config.jax_enable_x64 else "off",
        "matmul": str(jax.config.jax_default_matmul_precision),
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
