"""`multilstm summary`."""

from __future__ import annotations

import sys


def summary(model: str, /) -> int:
    """Show a model's shapes, parameters with their formula, and states.

    Parameters
    ----------
    model
        Keras 3's JSON (`model.to_json()`), as `FILE.json`; or `module:function`, which returns a model spec.
    """
    from multilstm.files.model import load_model

    sys.stdout.write(load_model(model).summary() + "\n")
    return 0
