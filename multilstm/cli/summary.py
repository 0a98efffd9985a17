"""`multilstm summary`."""

from __future__ import annotations

import sys


def summary(model: str, /) -> int:
    """Show a model's layers: shapes, parameters with their formula, and states.

    Parameters
    ----------
    model
        `FILE.json` with Keras 3's JSON (`model.to_json()`), or `module:function` that returns a model spec.
    """
    from multilstm.files.model import load_model

    sys.stdout.write(load_model(model).summary() + "\n")
    return 0
