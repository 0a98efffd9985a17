"""Settings of this process that make JAX's LSTMs fast on a CPU: one call of `tune_cpu` before JAX computes anything.

The settings hold for the whole process, so that no import and no other function changes them. No answer changes beyond
rounding.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys

import jax

from multilstm.errors import UsageError
from multilstm.frameworks import xla_flags
from multilstm.frameworks.machine import cores
from multilstm.frameworks.xla_flags import WIDE_VECTORS

# Parameters of mallopt(3): give no memory back from the top of the heap, and take no block from outside of it.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def tune_cpu(devices: int | None = None) -> dict[str, str]:
    """Prepare this process for LSTMs on a CPU; call it before JAX computes anything.

    - JAX gets one device for every core, so that `lstm(..., mesh=data_parallel_mesh())` splits a batch over them.
    - Freed memory of arrays stays in the process, so that the next call does not fault it in again, page by page.
      The process keeps the largest amount that it ever needed. This needs glibc, whose default gives blocks of 32 MiB
      and more back at once (mallopt(3)).
    - XLA writes its loops for vectors of 512 bits, if the CPU has them.

    Args:
        devices: number of CPU devices of JAX; None: as many as cores that this process may use.

    Returns:
        The setting of `devices`, `memory` and `vectors`, or the reason why it was left alone.

    Raises:
        UsageError: if JAX has already started, or for less than one device.
    """
    count = cores() if devices is None else devices
    if count < 1:
        raise UsageError(f"tune_cpu: expected devices of at least 1, given {count}")
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError as error:
        raise UsageError("tune_cpu: JAX has already started; call it before JAX computes anything") from error
    return {"devices": str(count), "memory": _keep_memory(), "vectors": _widen_vectors()}


def _keep_memory() -> str:
    if sys.platform != "linux":
        return "given back: not glibc"
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # mallopt of other libraries has other parameters, or is missing
        return "given back: not glibc"
    kept = library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, -1)
    return "kept" if kept else "given back: mallopt refused"


def _widen_vectors() -> str:
    flags = os.environ.get("XLA_FLAGS", "")
    if WIDE_VECTORS.name in xla_flags.names(flags):
        return "as XLA_FLAGS says"
    if not WIDE_VECTORS.is_known:
        return f"XLA's own: not known of jaxlib {importlib.metadata.version('jaxlib')}"
    os.environ["XLA_FLAGS"] = xla_flags.merge(flags, str(WIDE_VECTORS))
    return f"{WIDE_VECTORS.value} bits"
