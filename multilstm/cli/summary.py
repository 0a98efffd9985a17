"""`multilstm summary`."""

from __future__ import annotations

import sys

from multilstm.cli.types import Flag, Path


def summary(model: str, /, *, weights: Path = None, architecture: Path = None, code: Flag = False) -> int:
    """Show the origin of a model, then its layers: shapes, parameters with their formula, and states.

    Parameters
    ----------
    model
        A file (`.keras`, HDF5 or JSON of Keras; state dict of PyTorch), or `module:function` that returns a model.
    weights
        The file of the weights, where the model's file holds none.
    architecture
        The file of the architecture, where the model's file holds weights alone.
    code
        Print the Keras 3 source that builds the model, after the notes on the file as comments, and nothing else.
    """
    from multilstm.files import load_model
    from multilstm.report.words import printable
    from multilstm.spec.source import keras_source

    loaded = load_model(model, weights, architecture)
    if code:
        sys.stdout.writelines(f"# Note: {printable(note)}\n" for note in loaded.provenance.notes)
        sys.stdout.write(keras_source(loaded.spec))
        return 0
    count = "none; random ones are used" if loaded.weights is None else f"{len(loaded.weights)} arrays"
    lines = [*loaded.provenance.lines(), f"Weights: {count}"]
    sys.stdout.write("\n".join([*map(printable, lines), "", loaded.spec.summary()]) + "\n")
    return 0
