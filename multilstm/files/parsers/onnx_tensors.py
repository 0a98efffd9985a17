"""Tensors of ONNX as arrays: dense numbers inside of the file, checked against their own claims."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from multilstm.errors import InputError
from multilstm.files.parsers.parsed import Budget, as_plain, bfloat16_to_float32
from multilstm.files.parsers.protobuf import Message, varints
from multilstm.spec.arrays import Array

__all__ = ["tensor_array"]

BFLOAT16 = 16
DTYPES = {
    1: "<f4", 2: "<u1", 3: "<i1", 5: "<i2", 6: "<i4", 7: "<i8", 9: "<b1", 10: "<f2", 11: "<f8", BFLOAT16: "<u2",
}  # fmt: skip
# Fields of TensorProto that hold numbers instead of raw_data: fixed bytes, or integers of variable length.
FIXED = {1: 4, 11: 10}
VARIABLE = {2: 5, 3: 5, 5: 5, 6: 5, 7: 7, 9: 5, 10: 5, BFLOAT16: 5}


def tensor_array(tensor: Message, where: str, budget: Budget) -> Array:
    """Return a tensor as an array; half precision and bfloat16 are widened to float32.

    Raises:
        InputError: for numbers in another file, of another data type, or of another count than the shape states.
    """
    kind, dims = tensor.integer(2), [size for value in tensor.all(1) for size in varints(value)]
    if tensor.integer(14) or tensor.all(13):
        raise InputError(f"{where}: its numbers lie in another file; save the model as one file")
    if kind not in DTYPES:
        raise InputError(f"{where}: its data type is number {kind} of ONNX, expected one of {list(DTYPES)}")
    dtype = np.dtype(DTYPES[kind])
    budget.count()
    budget.take_array(where, dims, dtype)
    content = tensor.data(9)
    if not content and kind in FIXED:
        content = b"".join(value for value in tensor.all(FIXED[kind]) if isinstance(value, bytes))
    elif not content:
        content = _packed([item for value in tensor.all(VARIABLE[kind]) for item in varints(value)], dtype)
    if len(content) != math.prod(dims) * dtype.itemsize:
        raise InputError(f"{where}: it has {len(content):,} bytes, expected {math.prod(dims) * dtype.itemsize:,}")
    numbers = np.frombuffer(content, dtype).reshape(dims)
    return as_plain(bfloat16_to_float32(numbers) if kind == BFLOAT16 else numbers)


def _packed(values: list[int], dtype: np.dtype[Any]) -> bytes:
    mask = 2 ** (8 * dtype.itemsize) - 1
    return b"".join((value & mask).to_bytes(dtype.itemsize, "little") for value in values)
