"""Messages between launcher and worker: a JSON text, followed by the arrays in NumPy's format. No pickle.

A message is a tree of dicts, lists, strings, numbers, booleans, None and NumPy arrays. It travels as two blocks, each
after its length in 8 bytes. The first block is the tree as JSON, with None in place of every array, and the path of
every array. The second block is the arrays. An interpreter that answers needs NumPy and this package alone.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

_LENGTH = struct.Struct("<Q")


def packed(tree: Mapping[str, Any]) -> bytes:
    """Return one message as bytes."""
    stream = io.BytesIO()
    write(stream, tree)
    return stream.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """Return the message of `packed`."""
    return read(io.BytesIO(content))


def write(stream: BinaryIO, tree: Mapping[str, Any]) -> None:
    """Write one message and flush the stream."""
    paths: list[list[str | int]] = []
    arrays: list[np.ndarray] = []
    plain = _strip(tree, [], paths, arrays)
    content = io.BytesIO()
    for array in arrays:
        np.lib.format.write_array(content, array, allow_pickle=False)
    for block in (json.dumps({"tree": plain, "arrays": paths}).encode(), content.getbuffer()):
        stream.write(_LENGTH.pack(len(block)))
        stream.write(block)
    stream.flush()


def read(stream: BinaryIO) -> dict[str, Any]:
    """Read one message.

    Raises:
        EOFError: if the other side has closed the stream.
    """
    head = json.loads(_block(stream))
    content = io.BytesIO(_block(stream))
    tree: dict[str, Any] = head["tree"]
    for path in head["arrays"]:
        place: Any = tree
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = np.lib.format.read_array(content, allow_pickle=False)
    return tree


def _block(stream: BinaryIO) -> bytes:
    size = _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]
    return _exactly(stream, size)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError(f"the stream ended after {len(data)} of {size} bytes")
    return data


def _strip(value: Any, path: list[str | int], paths: list[list[str | int]], arrays: list[np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(np.require(value, requirements="C"))
        paths.append(path)
        return None
    if isinstance(value, Mapping):
        return {key: _strip(item, [*path, key], paths, arrays) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strip(item, [*path, index], paths, arrays) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    return value
