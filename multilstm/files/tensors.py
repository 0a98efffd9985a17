"""Safetensors files, read as arrays and metadata."""

from __future__ import annotations

import os

import safetensors
import safetensors.numpy

from multilstm.errors import InputError
from multilstm.files.regular import read_bytes
from multilstm.frameworks.machine import memory
from multilstm.json_data import parse_json, typed
from multilstm.spec.arrays import Array

__all__ = ["read_tensors"]


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a safetensors file by name, in the order of the file, and its metadata.

    Args:
        path: the file.

    Raises:
        InputError: for a file that cannot be read, or is no safetensors file of NumPy's dtypes.
    """
    name = os.fspath(path)
    content = read_bytes(path, memory())
    try:
        arrays: dict[str, Array] = safetensors.numpy.load(content)
    except KeyError as error:
        raise InputError(f"cannot read {name!r}: NumPy has no dtype {error}; convert the arrays to float32") from error
    except safetensors.SafetensorError as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"cannot read {name!r}: {reason}; expected a safetensors file") from error
    text = content[8 : 8 + int.from_bytes(content[:8], "little")].decode()
    try:
        header = parse_json(text, len(text))  # refuses a name that is given twice, of which safetensors takes the last
        metadata = typed(dict[str, str], header.pop("__metadata__", {}), "its metadata")
    except InputError as error:
        raise InputError(f"cannot read {name!r}: {error}; write the file again") from None
    return {name: arrays[name] for name in header}, metadata
