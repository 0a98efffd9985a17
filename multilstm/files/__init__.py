"""Users' files: read as data within limits, and written as a whole or not at all.

A path enters; bytes, text, arrays or a model spec leave. Nothing of a file is executed. Imports frameworks, json_data
and spec.
"""

from multilstm.files.arrays import read_arrays
from multilstm.files.atomic import check_replaceable, write_bytes
from multilstm.files.model import load_model
from multilstm.files.regular import read_bytes, read_text
from multilstm.files.tensors import read_tensors, write_tensors

__all__ = [
    "check_replaceable",
    "load_model",
    "read_arrays",
    "read_bytes",
    "read_tensors",
    "read_text",
    "write_bytes",
    "write_tensors",
]
