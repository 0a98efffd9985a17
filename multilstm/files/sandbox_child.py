"""Program of the process that parses one file of a stranger, under limits that the system enforces.

Start: `python -P -m multilstm.files.sandbox_child PARSER`. The file's content comes from standard input. The answer
goes to standard output: one line of JSON, then the bytes of the arrays. After the imports the process can open no
further file, and has limits of memory and time.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from multilstm.errors import InputError
from multilstm.files.parsers.parsed import Parsed

__all__ = ["PARSERS"]

PARSERS = {
    "checkpoint": "multilstm.files.parsers.checkpoint",
    "hdf5": "multilstm.files.parsers.hdf5",
    "keras_metadata": "multilstm.files.parsers.keras_metadata",
    "onnx": "multilstm.files.parsers.onnx_model",
    "safetensors": "multilstm.files.parsers.tensors",
    "zip": "multilstm.files.parsers.archive",
}
MEMORY = 768 * 2**20  # bytes beyond those of the imports
MEMORY_RATIO = 40  # more of them for each byte of the file
SECONDS = 10  # of CPU time
BYTES_A_SECOND = 10 * 2**20


def seconds_for(size: int) -> int:
    """Return the limit of CPU time for a file of `size` bytes."""
    return SECONDS + size // BYTES_A_SECOND


def main(parser: str) -> None:
    """Parse standard input and answer on standard output."""
    content = sys.stdin.buffer.read()
    parse = importlib.import_module(PARSERS[parser]).parse
    _limit(len(content))
    arrays: tuple[Any, ...] = ()
    try:
        parsed: Parsed = parse(content)
        arrays = parsed.arrays
        header = json.dumps({"document": parsed.document, "arrays": [[a.dtype.str, a.shape] for a in arrays]})
    except InputError as error:
        header, arrays = json.dumps({"error": str(error)}), ()
    except MemoryError:
        header, arrays = json.dumps({"error": "it needs more memory than a file of its size may; it is broken"}), ()
    except Exception as error:  # a parser of C code raises many classes for broken files
        header, arrays = json.dumps({"error": f"it is broken or incomplete ({type(error).__name__}: {error})"}), ()
    sys.stdout.buffer.write(header.encode() + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(array.tobytes())
    sys.stdout.buffer.flush()


def _limit(size: int) -> None:
    """Limit memory and time, and forbid to open files. Only Linux has all these limits."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    seconds = seconds_for(size)
    for limit, value in (
        (resource.RLIMIT_AS, used + MEMORY + MEMORY_RATIO * size),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, hard if limit == resource.RLIMIT_CPU else value))


if __name__ == "__main__":
    main(*sys.argv[1:])
