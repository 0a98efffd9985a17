"""Users' files: read as data within limits, and written as a whole or not at all.

A path, or a model of Keras, enters; bytes, text or a loaded model leave. Nothing of a file is executed. `model.py` has
the public `load`, `in_memory.py` takes models that a caller has in hand, `named.py` those of the command line.
`recognise.py` finds the kind of a file by its content. `parsers/` run in the process of `sandbox.py`. `stores.py`
assigns weights to the layers of a spec, `onnx/` makes a spec of an ONNX graph. Imports frameworks, json_data and spec.
"""

from multilstm.files.arrays import read_arrays, write_arrays
from multilstm.files.atomic import write_bytes
from multilstm.files.in_memory import AnyModel, resolved
from multilstm.files.loaded import LoadedModel, Provenance
from multilstm.files.model import load
from multilstm.files.named import load_model
from multilstm.files.outputs import PROOF, check_outputs, outputs_beside, write_outputs
from multilstm.files.regular import read_bytes, read_text
from multilstm.files.tensors import read_tensors

__all__ = [
    "PROOF",
    "AnyModel",
    "LoadedModel",
    "Provenance",
    "check_outputs",
    "load",
    "load_model",
    "outputs_beside",
    "read_arrays",
    "read_bytes",
    "read_tensors",
    "read_text",
    "resolved",
    "write_arrays",
    "write_bytes",
    "write_outputs",
]
