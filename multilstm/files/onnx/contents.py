"""An ONNX file as a model, or as the weights of another architecture."""

from __future__ import annotations

import dataclasses

from multilstm.errors import InputError
from multilstm.files.contents import Contents
from multilstm.files.onnx.spec import spec_of
from multilstm.files.onnx.weights import weights_of
from multilstm.files.state_dict import StateDict
from multilstm.files.stores import NamedWeights

__all__ = ["as_model", "as_weights"]


def as_model(contents: Contents) -> Contents:
    """Return the contents of an ONNX file with its spec and weights; other contents as they are.

    Raises:
        InputError: for a graph with a node that has no layer.
    """
    if contents.graph is None:
        return contents
    try:
        translation = spec_of(contents.graph)
    except InputError as error:
        raise InputError(
            f"cannot read {contents.path!r} as a model: {error}; to read its weights alone, give the architecture"
        ) from None
    store = NamedWeights(translation.weights)
    return dataclasses.replace(contents, spec=translation.spec, store=store, notes=translation.notes)


def as_weights(contents: Contents) -> Contents:
    """Return the contents of an ONNX file with its weights for another architecture; other contents as they are.

    Raises:
        InputError: as `weights_of`.
    """
    if contents.graph is None:
        return contents
    try:
        weights = weights_of(contents.graph)
    except InputError as error:
        raise InputError(f"cannot read {contents.path!r}: {error}") from None
    return dataclasses.replace(contents, store=StateDict(weights.tensors, True, weights.notes, weights.formulas))
