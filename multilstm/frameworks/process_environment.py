"""Environment variables with which a process that computes on a device starts."""

from __future__ import annotations

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


def for_process(device: str, settings: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that computes on a device.

    Args:
        device: `cpu` or `gpu`.
        settings: further variables of the process, such as those of `EngineRow.on`.
        inherited: the environment of the process that starts it.
    """
    return merge(inherited, settings, _DEVICES[device])
