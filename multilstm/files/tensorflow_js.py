"""The weights of a TensorFlow.js model: shards, files of plain numbers in the folder of model.json.

The format is that of `weightsManifest` in tfjs-core/src/io/types.ts. A shard has a plain name, so that no file of
another folder is read.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.layer_lists import LayerLists
from multilstm.files.parsers.parsed import NAME_LIMIT, OBJECT_LIMIT, RANK_LIMIT
from multilstm.files.regular import read_bytes
from multilstm.json_data import typed
from multilstm.spec.arrays import Array

__all__ = ["shard_weights"]


def shard_weights(path: str, manifest: Any, limit: int) -> tuple[LayerLists | None, tuple[str, ...]]:
    """Return the weights of a model, None where its shards are not in its folder, and a note on that.

    Args:
        path: the file model.json.
        manifest: its entry `weightsManifest`.
        limit: the largest size of all shards in bytes.

    Raises:
        InputError: for a manifest of another form, a shard with a path, and shards of another size than the weights.
    """
    groups = typed(list[dict[str, Any]], manifest, "weightsManifest")
    names = [name for group in groups for name in typed(list[str], group.get("paths", []), "paths of weightsManifest")]
    if len(names) > OBJECT_LIMIT:
        raise InputError(f"the weights have {len(names):,} shards; expected at most {OBJECT_LIMIT:,}")
    for name in names:
        if os.path.basename(name) != name or "\\" in name or name in ("", ".", "..") or len(name) > NAME_LIMIT:
            raise InputError(f"shard {shown(name)} has a path; expected the name of a file in the folder of the model")
    files = {name: os.path.join(os.path.dirname(path), name) for name in names}
    missing = [name for name, file in files.items() if not os.path.lexists(file)]
    if not files:
        if any(group.get("weights") for group in groups):
            raise InputError("weightsManifest has weights without paths; expected the names of their shards")
        return None, ()
    if len(missing) == len(files):
        return None, (f"the weights lie in the files {listed(names)}, which are not in the folder of the model",)
    if missing:
        raise InputError(f"the shards {listed(missing)} are missing; copy them to the folder of the model")
    layers: dict[str, list[tuple[str, Array]]] = {}
    for group in groups:
        content = b""
        for name in group.get("paths", []):
            shard = read_bytes(files[name], limit)
            limit -= len(shard)
            content += shard
        for weight, array in _weights(typed(list[dict[str, Any]], group.get("weights"), "weights"), content):
            layers.setdefault(weight.split("/")[0], []).append((weight, array))
    return LayerLists(tuple((layer, tuple(weights)) for layer, weights in layers.items())), ()


def _weights(entries: list[dict[str, Any]], content: bytes) -> list[tuple[str, Array]]:
    """Return the arrays of a group of weights."""
    weights, start = [], 0
    for entry in entries:
        name = typed(str, entry.get("name"), "name of a weight")
        where = f"weight {shown(name)}"
        shape = typed(list[int], entry.get("shape"), f"shape of {where}")
        if entry.get("dtype") != "float32" or "quantization" in entry:
            raise InputError(
                f"{where}: it is {shown(entry.get('dtype'))}{' and quantised' if 'quantization' in entry else ''}; "
                f"expected float32; convert the model again without quantization"
            )
        if any(size < 0 for size in shape) or len(shape) > RANK_LIMIT:
            raise InputError(f"{where}: its shape is {shown(shape)}; expected at most {RANK_LIMIT} sizes from 0")
        count = math.prod(shape)
        if start + 4 * count > len(content):
            raise InputError(f"{where}: its shards have {len(content):,} bytes; expected {start + 4 * count:,} or more")
        weights.append((name, np.frombuffer(content, "<f4", count, start).reshape(shape).astype(np.float32)))
        start += 4 * count
    if start != len(content):
        raise InputError(f"the shards have {len(content):,} bytes, the weights {start:,}; the files are of two models")
    return weights
