"""Settings of this process that make JAX's LSTMs fast on a CPU: one call of `tune_cpu` before JAX computes anything.

The settings hold for the whole process, so that no import and no other function changes them. No answer changes beyond
rounding.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys
import tempfile

import jax
import platformdirs

from multilstm.errors import InputError, UsageError, shown
from multilstm.frameworks import xla_flags
from multilstm.frameworks.machine import cores
from multilstm.frameworks.xla_flags import WIDE_VECTORS
from multilstm.scan.arguments import as_count, as_flag
from multilstm.scan.loops import records

# Parameters of mallopt(3): give no memory back from the top of the heap, and take no block from outside of it.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def tune_cpu(
    devices: int | None = None, measure: bool = False, cache: bool | str | os.PathLike[str] = False
) -> dict[str, str]:
    """Prepare this process for LSTMs on a CPU; call it before JAX computes anything.

    - JAX gets one device for every core, so that `lstm(..., mesh="auto")` splits a batch over them where that is
      faster.
    - Freed memory of arrays stays in the process, so that the next call does not fault it in again, page by page.
      The process keeps the largest amount that it ever needed. This needs glibc, whose default gives blocks of 32 MiB
      and more back at once (mallopt(3)).
    - XLA writes its loops for vectors of 512 bits, if the CPU has them.

    Args:
        devices: number of CPU devices of JAX; None: as many as cores that this process may use.
        measure: let `lstm` time several layouts of its loop, once for each class of sizes, and take the fastest. The
            first call of a class takes some seconds more. The winners are recorded in the user's cache directory,
            for this machine and version of jaxlib. The environment variable `MULTILSTM_MEASURE=1` does the same.
        cache: keep compiled programs in a folder, so that a later process compiles none of them again. This is JAX's
            persistent compilation cache. True: a folder in the user's cache directory.

    Returns:
        The setting of `devices`, `memory`, `vectors`, `plans` and `programs`, or the reason why it was left alone.

    Raises:
        UsageError: if JAX has already started.
        InputError: for `devices` that are no integer above 0, and a `measure` that is not True or False. Also for a
            `cache` of another type, or a folder that cannot be written.
    """
    measure = as_flag("tune_cpu: measure", measure)
    folder = _folder(cache)
    count = cores() if devices is None else as_count("tune_cpu: devices", devices, 1)
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError as error:
        raise UsageError("tune_cpu: JAX has already started; call it before JAX computes anything") from error
    if measure:
        records.switch_on()
    return {
        "devices": str(count),
        "memory": _keep_memory(),
        "vectors": _widen_vectors(),
        "plans": "measured" if records.is_measuring() else "by rules",
        "programs": _keep_programs(folder),
    }


def _folder(cache: bool | str | os.PathLike[str]) -> str | None:
    """Return the folder of compiled programs, which is created; None for no folder.

    Raises:
        InputError: for another type, and for a folder that cannot be written, or with an entry that JAX could wait for.
    """
    if not isinstance(cache, (bool, str, os.PathLike)) or not (isinstance(cache, bool) or os.fspath(cache)):
        raise InputError(f"tune_cpu: cache must be True, False or a folder, given {shown(cache)}")
    if cache is False:
        return None
    folder = str(platformdirs.user_cache_path("multilstm") / "programs" if cache is True else os.fspath(cache))
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder), os.scandir(folder) as entries:
            waiting = next((entry.name for entry in entries if _is_special(entry)), None)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"tune_cpu: cache {shown(folder)} cannot be written ({reason}); expected a folder") from None
    if waiting is not None:
        raise InputError(
            f"tune_cpu: cache {shown(folder)} holds {shown(waiting)}, which is a pipe, a socket or a device; expected "
            f"regular files, since JAX would wait for it; remove it, or give another folder"
        )
    return folder


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder, or the target of a link, is neither a regular file nor a folder."""
    return not entry.is_file() and not entry.is_dir() and os.path.exists(entry)


def _keep_programs(folder: str | None) -> str:
    """Switch JAX's persistent compilation cache on, for programs that compile quickly too."""
    if folder is None:
        return "compiled in each process"
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return f"kept in {folder}"


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
