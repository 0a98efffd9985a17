"""Safetensors files: arrays by name. The safetensors library checks the header."""

from __future__ import annotations

import math

import numpy as np
import safetensors

from multilstm.errors import InputError, shown
from multilstm.files.parsers.parsed import Budget, Parsed, as_plain, bfloat16_to_float32, check_name
from multilstm.json_data import parse_json

__all__ = ["parse"]

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "|b1",
}  # fmt: skip


def parse(content: bytes) -> Parsed:
    """Return the arrays of a safetensors file: the document has `tensors` (`[name, array]`)."""
    budget = Budget(len(content))
    size = int.from_bytes(content[:8], "little")
    try:
        entries = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
        header = content[8 : 8 + size].decode()
    except (safetensors.SafetensorError, UnicodeDecodeError) as error:
        raise InputError(f"it is no complete safetensors file ({error}); copy or download it again") from None
    order = list(parse_json(header, len(header)))  # refuses a name that is given twice
    arrays, tensors = [], []
    for name, entry in sorted(entries, key=lambda item: order.index(item[0])):
        where = f"tensor {shown(check_name(name, 'the file'))}"
        if entry["dtype"] not in DTYPES:
            raise InputError(f"{where}: dtype is {shown(entry['dtype'])}, expected one of {', '.join(DTYPES)}")
        dtype = np.dtype(DTYPES[entry["dtype"]])
        budget.take_array(where, entry["shape"], dtype)
        budget.count()
        numbers = np.frombuffer(bytes(entry["data"]), dtype, math.prod(entry["shape"])).reshape(entry["shape"])
        arrays.append(as_plain(bfloat16_to_float32(numbers) if entry["dtype"] == "BF16" else numbers))
        tensors.append([name, len(arrays) - 1])
    return Parsed({"tensors": tensors, "entry": ""}, tuple(arrays))
