"""Weight files: safetensors, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from multilstm.errors import InputError
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.weights.layout import check_weights


def save_weights(path: str | os.PathLike[str], graph: Graph | None, weights: Mapping[str, Any]) -> None:
    """Writes weights to a safetensors file, which is complete or not there: it is written beside, and renamed.

    Args:
        path: the file; replaced where it exists.
        graph: the model that the weights must fit; None: not checked.
        weights: arrays by `layer/weight`.

    Raises:
        InputError: where the weights do not fit the model, or the file cannot be written.
    """
    if graph is not None:
        check_weights(graph, weights)
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    # In C order and in this machine's byte order: safetensors writes the buffer as it lies.
    plain = {name: np.array(values, np.asarray(values).dtype.newbyteorder("="), order="C")
             for name, values in weights.items()}  # fmt: skip
    try:
        beside.write_bytes(safetensors.numpy.save(plain, {"format": "multilstm"}))
        beside.replace(target)
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        raise InputError(f"weights cannot be written to {str(target)!r}: {_reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def load_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The weights that `save_weights` wrote, by `layer/weight`. Whether they fit a model: see `check_weights`.

    Raises:
        InputError: where the file cannot be read, or is no safetensors file of NumPy's dtypes.
    """
    try:
        data = Path(path).read_bytes()
        found: dict[str, Array] = safetensors.numpy.load(data)
    except KeyError as error:
        raise InputError(
            f"weights cannot be read from {str(path)!r}: NumPy has no dtype {error}; convert them to float32"
        ) from error
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"weights cannot be read from {str(path)!r}: {_reason(error)}") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=lambda pairs: pairs)
    names = [name for name, _ in header]
    if len(set(names)) < len(names):  # safetensors takes the last of them
        raise InputError(f"weights cannot be read from {str(path)!r}: it gives a name twice; write it anew")
    return {name: found[name] for name in names if name in found}


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
