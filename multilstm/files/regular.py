"""Regular files, read as bytes or text within a limit.

A named pipe would block and a device may never end, so both are refused before anything is read. The size is checked
first too: a sparse file can claim any size without using the disk.
"""

from __future__ import annotations

import difflib
import itertools
import os
import stat

from multilstm.errors import InputError
from multilstm.frameworks.machine import memory

__all__ = ["near_file", "read_bytes", "read_text", "size_limit"]

FOLDER_LIMIT = 2_000  # names that are compared with the name of a missing file
COPIES = 8  # of a file's numbers that fit into memory at once: read, unpacked, converted, and in a batch


def size_limit() -> int:
    """Return the largest size in bytes of a file of numbers, and of its numbers without compression."""
    return memory() // COPIES


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the content of a regular file; links are followed.

    Args:
        path: the file.
        limit: the largest size in bytes.

    Raises:
        InputError: for a missing file, a folder, a device, a named pipe, a socket, or a larger file.
    """
    name = os.fspath(path)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0)  # else opening a named pipe would wait for a writer
    try:
        descriptor = os.open(path, flags)
        try:
            return _content(descriptor, name, limit)
        finally:
            os.close(descriptor)
    except OSError as error:
        near = near_file(name) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"cannot read {name!r}: {error.strerror or error}{near}") from None
    except MemoryError:
        raise InputError(f"cannot read {name!r}: it does not fit into the memory") from None
    except ValueError as error:  # such as a null character in the path
        raise error if isinstance(error, InputError) else InputError(f"cannot read {name!r}: {error}") from None


def read_text(path: str | os.PathLike[str], limit: int, expected: str) -> str:
    """Return the text of a regular file in UTF-8; links are followed, and a byte order mark is left out.

    Args:
        path: the file.
        limit: the largest size in bytes.
        expected: a description of the file, for the error.

    Raises:
        InputError: as `read_bytes`, and for bytes that are no UTF-8.
    """
    content = read_bytes(path, limit)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = next((kind for start, kind in _BINARY if content.startswith(start)), "no text in UTF-8")
        text = f"cannot read {os.fspath(path)!r}: it is {kind} (byte {error.start:,}); expected {expected}"
        raise InputError(text) from None


_BINARY = (
    (b"PK", "a zip archive, such as .npz or .keras"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF", "HDF5"),
)


def near_file(path: str) -> str:
    """Return a hint for the error of a missing file: a file of its folder with a similar name; empty without one."""
    folder, name = os.path.split(path)
    try:
        names = list(itertools.islice(os.listdir(folder or "."), FOLDER_LIMIT))
    except (OSError, ValueError):
        return ""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.8) if len(name) < 256 else []
    return f"; did you mean {os.path.join(folder, near[0])!r}?" if near else ""


def _content(descriptor: int, name: str, limit: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"cannot read {name!r}: it is a folder, a device or a pipe; expected a regular file")
    if status.st_size > limit:
        raise InputError(f"cannot read {name!r}: it has {status.st_size:,} bytes, expected at most {limit:,}")
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read(status.st_size + 1)
    if len(content) > status.st_size:
        raise InputError(f"cannot read {name!r}: it grew while it was read; read it again")
    return content
