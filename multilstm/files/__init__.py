"""Users' files: read as data within limits, and written as a whole or not at all.

A path enters; bytes, text or a model spec leave. Nothing of a file is executed. Imports frameworks and spec.
"""

from multilstm.files.atomic import check_replaceable, write_bytes
from multilstm.files.model import load_model
from multilstm.files.regular import read_bytes

__all__ = ["check_replaceable", "load_model", "read_bytes", "write_bytes"]
