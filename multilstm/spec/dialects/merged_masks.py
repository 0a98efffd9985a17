"""Masks that meet in a merging layer: Keras 0 to 2 combine them in another way than Keras 3, which a spec follows.

Keras 2 keeps a timestep that all masked inputs keep, and ignores inputs without a mask. Keras 3 keeps a timestep that
any input keeps. Its Multiply, Maximum and Minimum also replace masked values, where Keras 2 computes with them. The
sources are `compute_mask` in keras/layers/merge.py of Keras 2.2.4 and in keras/src/layers/merging/ of Keras 3.15.1.
"""

from __future__ import annotations

from typing import Any

from multilstm.errors import SpecError
from multilstm.spec.graph import Graph, Ref
from multilstm.spec.layers import (
    Add,
    Average,
    Concatenate,
    Embedding,
    Masking,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)

__all__ = ["check_merged_masks"]


class _Mask:
    """A mask as a value without operations."""


def check_merged_masks(graph: Graph, version: str) -> None:
    """Raise SpecError for a layer of an old model that merges masks, or masked values, otherwise than Keras 3.

    Args:
        graph: the model.
        version: the version of Keras that wrote it, for the message.
    """
    masks: dict[Ref, _Mask | None] = {}
    made: dict[Any, _Mask] = {}  # by the inputs and the number that they are compared with
    for number, call in enumerate(graph.calls):
        layer = graph.layer(call.layer)
        given = [masks[ref] for ref in call.inputs]
        mask: _Mask | None = None
        if isinstance(layer, Masking) or (isinstance(layer, Embedding) and layer.mask_zero):
            value = layer.mask_value if isinstance(layer, Masking) else 0
            mask = made.setdefault((call.inputs, value), _Mask())
        elif any(given):
            rank = len(graph.tensor_shapes[call.inputs[0]])
            if reason := _difference(layer, given, rank):
                raise SpecError(
                    f"layer {layer.label}: {reason}, and multilstm executes the rule of Keras 3 alone; the file is of "
                    f"Keras {version}; give the layer inputs without masks, or a Concatenate inputs with one mask"
                )
            mask = _output_mask(layer, given)
        for output in range(layer.output_count):
            masks[Ref(number, output)] = mask if output < layer.masked_outputs else None


def _difference(layer: Any, masks: list[_Mask | None], rank: int) -> str:
    """Return the difference between both rules for the masks of a layer's inputs; empty without one."""
    if isinstance(layer, Multiply | Maximum | Minimum):
        return "it takes masked sequences, whose masked values Keras 3 replaces, and Keras 2 computes with"
    if isinstance(layer, Concatenate) and layer.axis in (1, -2) and rank == 3:
        return ""
    if isinstance(layer, Add | Average | Concatenate | Subtract) and len(set(masks)) > 1:
        return "it merges sequences with different masks; Keras 2 keeps the timesteps that all keep, Keras 3 more"
    return ""


def _output_mask(layer: Any, masks: list[_Mask | None]) -> _Mask | None:
    if isinstance(layer, Add | Average | Subtract) or (isinstance(layer, Concatenate) and len(set(masks)) == 1):
        return masks[0]
    try:
        mask: _Mask | None = layer.output_mask([None] * len(masks), masks)
    except (AttributeError, IndexError, TypeError):  # it computes with the mask
        return _Mask()
    return mask
