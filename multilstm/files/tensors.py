"""Safetensors files: arrays and metadata, written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from multilstm.errors import InputError
from multilstm.files.atomic import write_bytes
from multilstm.files.regular import read_bytes, size_limit
from multilstm.json_data import parse_json, typed
from multilstm.spec.arrays import Array

__all__ = ["read_tensors", "write_tensors"]


def read_tensors(
    path: str | os.PathLike[str], expected: str = "a safetensors file"
) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays of a safetensors file by name, in the order of the file, and its metadata.

    Args:
        path: the file.
        expected: the kinds of files that the caller reads, in words.

    Raises:
        InputError: for a file that cannot be read, or is no safetensors file of NumPy's dtypes.
    """
    import safetensors.numpy  # here, since the processes of engines do without it

    name = os.fspath(path)
    content = read_bytes(path, size_limit())
    try:
        arrays: dict[str, Array] = safetensors.numpy.load(content)
    except KeyError as error:
        raise InputError(f"cannot read {name!r}: NumPy has no dtype {error}; convert the arrays to float32") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"cannot read {name!r}: {_reason(error)}; expected {expected}") from error
    text = content[8 : 8 + int.from_bytes(content[:8], "little")].decode()
    try:
        header = parse_json(text, len(text))  # refuses a name that is given twice, of which safetensors takes the last
        metadata = typed(dict[str, str], header.pop("__metadata__", {}), "its metadata")
    except InputError as error:
        raise InputError(f"cannot read {name!r}: {error}; write the file again") from None
    return {name: arrays[name] for name in header}, metadata


def write_tensors(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays by name to a safetensors file that is complete or, after an error, unchanged.

    Raises:
        InputError: for arrays that no such file holds, or a file that cannot be written.
    """
    import safetensors.numpy

    # safetensors writes the buffer as it is: in C order and in this machine's byte order
    plain = {name: np.array(array, array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    try:
        content = safetensors.numpy.save(plain, {"format": "multilstm"})
    except (KeyError, safetensors.SafetensorError) as error:
        raise InputError(f"cannot write {os.fspath(path)!r}: {_reason(error)}; nothing was written") from error
    write_bytes(path, content)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
