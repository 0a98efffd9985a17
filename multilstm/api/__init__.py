"""The Python face: `run`, `parity`, `convert`, `inference_models` and `migrate`, whose names `multilstm` exports.

A user's model and arrays enter, results and reports leave. `arguments.py` makes the library's own types of the user's
arguments, `comparison.py` has the calls that execute a model, `conversion.py` those that translate it. May import every
room but `bench`, `fuzz`, `cli` and `testing`.
"""

from multilstm.api.arguments import Inputs
from multilstm.api.comparison import RunResult, parity, run
from multilstm.api.conversion import convert, inference_models, migrate

__all__ = ["Inputs", "RunResult", "convert", "inference_models", "migrate", "parity", "run"]
