"""Environment variables with which a process that computes on a device starts.

A user's variables must not change an answer: `JAX_DISABLE_JIT` or `TF2_BEHAVIOR`, for example, make engines fail.
Variables of the frameworks are therefore removed, apart from a list of those that cannot do this.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

from multilstm.frameworks import xla_flags

# Settings that a framework reads only when it starts: no GPU at all, or a GPU whose memory is allocated as needed.
_DEVICES = {
    "cpu": {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"},
    "gpu": {
        "JAX_PLATFORMS": "cuda,cpu",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    },
}


# The part of `Platform.make_deterministic` that must be set before a process starts. Benchmarks do without: these
# kernels are slower.
DETERMINISTIC_GPU = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "XLA_FLAGS": xla_flags.DETERMINISTIC_ON_GPU}


def merge(*environments: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of all environments.

    The last value of a variable counts. `XLA_FLAGS` is an exception: its flags add up, and the first value of each
    flag counts.
    """
    merged: dict[str, str] = {}
    for environment in environments:
        flags = xla_flags.merge(merged.get("XLA_FLAGS", ""), environment.get("XLA_FLAGS", ""))
        merged.update(environment)
        if flags:
            merged["XLA_FLAGS"] = flags
    return merged


# Beginnings of the names of variables that a process does not inherit ...
_REMOVED = (
    "JAX_",
    "KERAS_",
    "TF_",
    "TF2_",
    "TORCH_",
    "TORCHDYNAMO_",
    "TORCHINDUCTOR_",
    "PYTORCH_",
    "NPY_PROMOTION_STATE",
    "NVIDIA_TF32_OVERRIDE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
)
# ... unless they begin so: caches, logs, threads and memory, and optimizations that change answers by rounding alone.
_INHERITED = (
    "JAX_COMPILATION_CACHE_",
    "JAX_DISABLE_MOST_OPTIMIZATIONS",
    "JAX_DUMP_",
    "JAX_ENABLE_COMPILATION_CACHE",
    "JAX_LOG",
    "JAX_PERSISTENT_CACHE_",
    "JAX_TRACEBACK_FILTERING",
    "TF_CPP_",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_GPU_ALLOCATOR",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TORCH_HOME",
    "TORCH_LOGS",
    "TORCH_SHOW_CPP_STACKTRACES",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
)


def for_process(device: str, settings: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that computes on a device.

    Args:
        device: `cpu` or `gpu`.
        settings: further variables of the process, such as those of `EngineRow.on`.
        inherited: the environment of the process that starts it; its variables that may change answers are left out.
    """
    kept = {
        name: value for name, value in inherited.items() if not name.startswith(_REMOVED) or name.startswith(_INHERITED)
    }
    return merge(kept, settings, _DEVICES[device])


def overruled(device: str, settings: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return those variables of `inherited`, with their values, that `for_process` removes or replaces.

    `XLA_FLAGS` is never among them: all its flags are inherited.
    """
    environment = for_process(device, settings, inherited)
    return {name: value for name, value in inherited.items() if name != "XLA_FLAGS" and environment.get(name) != value}


def python_path(root: pathlib.Path | None, inherited: str) -> str:
    """Return a value of `PYTHONPATH`: `root`, if there is one, then the absolute entries of `inherited`.

    Empty and relative entries, such as `.`, are left out. They mean the current folder or its neighbours, whose
    `numpy.py` or `sitecustomize.py` a process would then execute.
    """
    first = () if root is None else (str(root),)
    return os.pathsep.join((*first, *filter(os.path.isabs, inherited.split(os.pathsep))))
