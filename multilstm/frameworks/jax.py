"""JAX: the functions of `Platform`, compiled functions that name their kernels, and operations for the self-test."""

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

from multilstm.errors import EngineUnavailableError
from multilstm.frameworks import kernels
from multilstm.frameworks.self_test import Operations


def versions() -> dict[str, str]:
    """Return the versions of JAX and jaxlib."""
    return {"jax": jax.__version__, "jaxlib": importlib.metadata.version("jaxlib")}


_CUDA_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")


def devices() -> list[str]:
    """Return the devices of the default platform, and the CPU, as `gpu:0 NVIDIA H200` or `cpu`."""
    return [
        *(
            f"{device.platform}:{device.id} {device.device_kind}"
            for device in jax.devices()
            if device.platform != "cpu"
        ),
        "cpu",
    ]


def no_gpu() -> str:
    """Return why JAX cannot compute on a GPU; see `Platform`."""
    try:
        jax.devices("gpu")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
    else:
        return ""
    plugins = [name for name in _CUDA_PLUGINS if importlib.util.find_spec(name) is not None]
    if not plugins:
        return f"JAX {jax.__version__} is installed without CUDA; install it with: pip install 'jax[cuda13]'"
    return f"JAX with {plugins[0]} finds none ({reason}); see whether nvidia-smi and CUDA_VISIBLE_DEVICES name one"


def require_x64(engine: str) -> None:
    """Return if this process computes in float64.

    Raises:
        EngineUnavailableError: where JAX's x64 mode is off.
    """
    if not jax.config.jax_enable_x64:
        raise EngineUnavailableError(
            f"{engine}: float64 needs JAX's x64 mode, which is off in this process; "
            "set JAX_ENABLE_X64=1 before it starts"
        )


def set_tf32(allowed: bool) -> None:
    """Let XLA's products, and cuDNN in `jax.experimental.rnn`, round float32 to TF32 in functions traced later."""
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "highest")


def implementation(compiled: Any) -> str:
    """Return the kernels in a compiled program, in words.

    JAX does not compile a function that has run again: its `lower` and `compile` return the same program.
    """
    return kernels.named(kernels.of_hlo(compiled.as_text() or ""), "XLA's loop")


def launched(function: Callable[[], Any], device: str = "/device:GPU") -> tuple[Any, set[str]]:
    """Call the function; return its value, and the names of the kernels that JAX's profiler saw on the device."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # the calls of Python are too many while a model is traced
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        start = partial(jax.profiler.start_trace, folder, profiler_options=options)
        value, _ = kernels.traced(lambda: jax.block_until_ready(function()), start, jax.profiler.stop_trace)
        reader: Any = jax.profiler.ProfileData  # None before JAX 0.7
        files = pathlib.Path(folder).rglob("*.xplane.pb") if reader is not None else ()
        planes = [plane for path in files for plane in reader.from_file(str(path)).planes]
    return value, {
        event.name for plane in planes if plane.name.startswith(device) for line in plane.lines for event in line.events
    }


def make_deterministic() -> None:
    """Do nothing: XLA reads its flag when it starts, so `process_environment` sets it."""


class Watched:
    """A jitted function whose compiled programs are searched for kernels; one program for each signature.

    Attributes:
        found: the kernels (`kernels.of_hlo`) in the program that ran last.
    """

    def __init__(self, function: Callable[..., Any], static_argnames: str = "") -> None:
        self._jitted = jax.jit(function, static_argnames=static_argnames or None)
        self._compiled: dict[Any, tuple[Any, set[str]]] = {}
        self.found: set[str] = set()

    def __call__(self, *arguments: Any, **static: Any) -> Any:
        """Call the function."""
        leaves, structure = jax.tree.flatten(arguments)
        key = (structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), *static.items())
        if key not in self._compiled:
            compiled = self._jitted.lower(*arguments, **static).compile()
            self._compiled[key] = compiled, kernels.of_hlo(compiled.as_text() or "")
        compiled, self.found = self._compiled[key]
        return compiled(*arguments)


def places(tree: Any) -> set[str]:
    """Return the platforms that hold the arrays of a tree."""
    return {device.platform for array in jax.tree.leaves(tree) for device in array.devices()}


def switches() -> dict[str, str]:
    """Return precision, determinism and compiler flags."""
    flags = os.environ.get("XLA_FLAGS", "")
    return {
        "x64": "on" if jax.config.jax_enable_x64 else "off",
        "matmul": str(jax.config.jax_default_matmul_precision),
        "deterministic": "on" if "xla_gpu_deterministic_ops=true" in flags else "off",
        **({"XLA_FLAGS": flags} if flags else {}),
    }


def operations() -> Operations:
    """Return jitted `jax.numpy`, with products at precision `highest`, as in `multilstm.scan`."""

    def matmul(left: Any, right: Any) -> Any:
        return jnp.matmul(left, right, precision="highest")

    return Operations(jnp.asarray, np.asarray, jax.jit, jnp.sum, matmul, jnp.transpose, jnp.tanh, jax.nn.sigmoid)
