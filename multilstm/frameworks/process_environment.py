"""The environment variables with which a process that computes on a device starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


# What a process must know of its device before it starts: no GPU at all, or one whose memory is taken as it is needed.
_DEVICES = {
    "cpu": {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"},
    "gpu": {
        "JAX_PLATFORMS": "cuda,cpu",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    },
}


# The same bits every time; the rest of it is `Platform.make_deterministic`. Benchmarks do without: it is slower.
_DETERMINISTIC = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}


def joined(*environments: Mapping[str, str]) -> dict[str, str]:
    """All variables, the later ones before the earlier; but a flag of XLA stays as it is given first."""
    made: dict[str, str] = {}
    for variables in environments:
        flags, added = made.get("XLA_FLAGS", ""), variables.get("XLA_FLAGS", "")
        made.update(variables)
        if flags and added:
            new = [flag for flag in added.split() if flag.split("=")[0] not in flags]
            made["XLA_FLAGS"] = " ".join([flags, *new])
    return made


def for_process(device: str, own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that computes on a device.

    Args:
        device: `cpu` or `gpu`.
        own: what the process must know besides, as `EngineRow.on` gives it.
        given: what it would be otherwise.
    """
    return joined(given, own, _DEVICES[device])
