"""Files of named arrays: safetensors, NumPy's .npz and .npy, recognised by content and read without executing anything.

The name decides only on the format of a new file.

A file's own claims about sizes are compared with its bytes before an array is made. Object arrays, which hold pickles,
are refused.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from multilstm.errors import InputError, shown
from multilstm.files.atomic import write_bytes
from multilstm.files.parsers.zip_members import all_members
from multilstm.files.recognise import refuse_named
from multilstm.files.regular import read_bytes, size_limit
from multilstm.files.tensors import read_tensors, write_tensors
from multilstm.spec.arrays import Array

__all__ = ["read_arrays", "write_arrays"]

_NPY, _ZIP = b"\x93NUMPY", b"PK"
_KERAS = ("metadata.json", "config.json", "model.weights.h5")
_UNNAMED = "arr_0"  # the name that numpy.savez gives to its first array without one
_NPY_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return the arrays of a file by name. The array of a .npy file, or the only unnamed one, has the empty name.

    Args:
        path: a file that `numpy.save`, `numpy.savez`, `numpy.savez_compressed` or safetensors wrote, whatever its name.

    Raises:
        InputError: for a file that cannot be read, of another format, or with arrays that are no numbers.
    """
    name = os.fspath(path)
    content = read_bytes(path, size_limit())
    if content.startswith(_NPY):
        return {"": _npy(content, name)}
    if content.startswith(_ZIP):
        return _npz(content, name)
    try:
        arrays, _ = read_tensors(path, "a file of numpy.save, numpy.savez or safetensors")
    except InputError:
        _refuse_download(content, name)
        raise
    return arrays


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays by name to a file that is complete or, after an error, unchanged.

    Args:
        path: a name with the suffix .npz is a file of `numpy.savez`; another one is safetensors.
        arrays: numbers by name.

    Raises:
        InputError: for a name with the suffix .npy, which has no names, or a file that cannot be written.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".npy":
        raise InputError(f"cannot write {os.fspath(path)!r}: .npy has no names of arrays; use .npz or .safetensors")
    if suffix != ".npz":
        write_tensors(path, arrays)
        return
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # numpy.savez takes no array that is named 'file'
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    write_bytes(path, content.getvalue())


def _refuse_download(content: bytes, name: str) -> None:
    try:
        refuse_named(content)
    except InputError as error:
        raise InputError(f"cannot read {name!r}: {error}") from None


def _npz(content: bytes, name: str) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = all_members(archive, content)
            size = sum(member.file_size for member in members)
            if size > (limit := size_limit()):
                raise InputError(f"cannot read {name!r}: it claims {size:,} bytes, expected at most {limit:,}")
            arrays = {}
            for member in members:
                if not member.filename.endswith(".npy") or member.compress_type not in _COMPRESSIONS:
                    see = " (for a model of Keras, see multilstm summary)" if member.filename in _KERAS else ""
                    entry = f"it contains {shown(member.filename)}"
                    raise InputError(f"cannot read {name!r}: {entry}; expected arrays of numpy.savez{see}")
                key = member.filename.removesuffix(".npy")
                if key in arrays:
                    raise InputError(f"cannot read {name!r}: it gives {shown(key)} twice; write the file again")
                arrays[key] = _npy(archive.read(member), f"{name}: {key}")
            return {"": arrays[_UNNAMED]} if set(arrays) == {_UNNAMED} else arrays
    except _ZIP_ERRORS as error:
        raise InputError(f"cannot read {name!r}: {error}; expected a file of numpy.savez") from None
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"cannot read {name!r}: {error}") from None


_ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError,
)  # fmt: skip
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and LZMA turn few bytes into gigabytes


def _npy(content: bytes, name: str) -> Array:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _NPY_VERSIONS:
            raise ValueError(f"the format has version {version}")
        shape, in_columns, dtype = _NPY_VERSIONS[version](stream)
    except Exception as error:  # NumPy parses the header as Python's syntax, whose errors are of many classes
        raise InputError(f"cannot read {name!r}: {error}; expected a file of numpy.save") from None
    if dtype.kind not in "fiub":
        raise InputError(f"cannot read {name!r}: dtype is {dtype}, expected numbers; objects are never read")
    values = content[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(values) or any(size < 0 for size in shape):
        raise InputError(
            f"cannot read {name!r}: shape {shape} of {dtype} needs {math.prod(shape) * dtype.itemsize:,} bytes, "
            f"given {len(values):,}; write the file again"
        )
    array = np.frombuffer(values, dtype).reshape(shape, order="F" if in_columns else "C")
    return np.array(array, dtype.newbyteorder("="))
