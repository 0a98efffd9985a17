"""Program of the process that parses one file of a stranger, under limits that the system enforces.

Start: `python -P -m multilstm.files.sandbox_child PARSER`. The file's content comes from standard input. The answer
goes to standard output: one line of JSON, then the bytes of the arrays. After the imports the process can open no
further file, and has limits of memory and time.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from multilstm.errors import InputError
from multilstm.files.parsers.parsed import Parsed

__all__ = ["PARSERS", "TOO_LARGE", "UNFORESEEN", "respond", "seconds_for"]

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
TOO_LARGE = "it needs more memory than a file of its size may; it is broken"
UNFORESEEN = "it is broken or incomplete"  # before the error of a parser, which is no InputError


def seconds_for(size: int) -> int:
    """Return the limit of CPU time for a file of `size` bytes."""
    return SECONDS + size // BYTES_A_SECOND


def main(parser: str) -> None:
    """Parse standard input and answer on standard output."""
    content = sys.stdin.buffer.read()
    parse = importlib.import_module(PARSERS[parser]).parse
    _limit(len(content))
    respond(parse, content, sys.stdout.buffer)


def respond(parse: Callable[[bytes], Parsed], content: bytes, stream: BinaryIO) -> None:
    """Parse a file and write the answer: one line of JSON, then the bytes of the arrays."""
    arrays: tuple[Any, ...] = ()
    try:
        parsed = parse(content)
        arrays = parsed.arrays
        header = json.dumps({"document": parsed.document, "arrays": [[a.dtype.str, a.shape] for a in arrays]})
    except InputError as error:
        header, arrays = json.dumps({"error": str(error)}), ()
    except MemoryError:
        header, arrays = json.dumps({"error": TOO_LARGE}), ()
    except Exception as error:  # a parser of C code raises many classes for broken files
        header, arrays = json.dumps({"error": f"{UNFORESEEN} ({type(error).__name__}: {error})"}), ()
    stream.write(header.encode() + b"\n")
    for array in arrays:
        stream.write(array.tobytes())
    stream.flush()


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
