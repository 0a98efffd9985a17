"""Weight files: safetensors, written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from multilstm.files.tensors import read_tensors, write_tensors
from multilstm.spec import Graph
from multilstm.spec.arrays import Array, as_array, by_name
from multilstm.weights.layout import check_weights

__all__ = ["load_weights", "save_weights"]


def save_weights(path: str | os.PathLike[str], graph: Graph | None, weights: Mapping[str, Any]) -> None:
    """Write weights to a safetensors file that is complete or, after an error, unchanged.

    Args:
        path: the file; replaced if it exists. Only a regular file is ever replaced.
        graph: the model that the weights must fit; None: not checked.
        weights: arrays by `layer/weight`.

    Raises:
        InputError: for weights that do not fit the model or that no file holds, or a file that cannot be written.
    """
    if graph is not None:
        check_weights(graph, weights)
    arrays = {name: as_array(f"weight {name!r}", values) for name, values in by_name("weights", weights).items()}
    write_tensors(path, arrays)


def load_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return the weights that `save_weights` wrote. Whether they fit a model: see `check_weights`.

    Args:
        path: the file.

    Returns:
        Arrays by `layer/weight`, in the order of the file.

    Raises:
        InputError: for a file that cannot be read, or is no safetensors file of NumPy's dtypes.
    """
    weights, _ = read_tensors(path)
    return weights
