"""`multilstm summary`."""

from __future__ import annotations

import sys

from multilstm.cli.types import Path


def summary(model: str, /, *, weights: Path = None, architecture: Path = None) -> int:
    """Show the origin of a model, then its layers: shapes, parameters with their formula, and states.

    Parameters
    ----------
    model
        A file (`.keras`, HDF5 or JSON of Keras; state dict of PyTorch), or `module:function` that returns a model spec.
    weights
        The file of the weights, where the model's file holds none.
    architecture
        The file of the architecture, where the model's file holds weights alone.
    """
    from multilstm.files.model import load_model
    from multilstm.report.terminal import printable

    loaded = load_model(model, weights, architecture)
    count = "none; random ones are used" if loaded.weights is None else f"{len(loaded.weights)} arrays"
    lines = [*loaded.provenance.lines(), f"Weights: {count}"]
    sys.stdout.write("\n".join([*map(printable, lines), "", loaded.spec.summary()]) + "\n")
    return 0
