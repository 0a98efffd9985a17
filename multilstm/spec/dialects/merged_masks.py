"""Masks that Keras 0 to 2 combine or pass on in another way than Keras 3, which a spec follows.

Keras 2 keeps a timestep that all masked inputs keep, and ignores inputs without a mask. Keras 3 keeps a timestep that
any input keeps. Its Multiply, Maximum and Minimum also replace masked values, where Keras 2 computes with them. The
sources are `compute_mask` in keras/layers/merge.py of Keras 2.2.4 and in keras/src/layers/merging/ of Keras 3.15.1.

Keras 2 passes a mask made inside of a TimeDistributed to the next layer, and Keras 3 loses it. The source is
`TimeDistributed.compute_mask` in tf_keras/src/layers/rnn/time_distributed.py of tf-keras 2.21.

Keras 3.0 to 3.3 drop the masks of layers that merge. Files of these versions are read with the later rule, and a note.
"""

from __future__ import annotations

import re
from typing import Any

from multilstm.errors import SpecError
from multilstm.spec.graph import Graph, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    TimeDistributed,
    makes_mask,
)

__all__ = ["check_merged_masks", "dropped_masks", "inner_mask_difference"]


class _Mask:
    """A mask as a value without operations."""


def check_merged_masks(graph: Graph, version: str) -> None:
    """Raise SpecError for a layer of an old model that merges masks, or masked values, otherwise than Keras 3.

    Args:
        graph: the model.
        version: the version of Keras that wrote it, for the message.
    """
    for layer in graph.layers:
        if reason := inner_mask_difference(layer):
            raise SpecError(
                f"layer {layer.label}: {reason}, and multilstm executes the rule of Keras 3 alone; the file is of "
                f"Keras {version}; put all layers that use the mask into one model inside of a TimeDistributed"
            )
        if layer.inner_model is not None:
            check_merged_masks(layer.inner_model.model, version)
    for layer, given, rank in _masked_calls(graph)[1]:
        if reason := _end_of_mask(layer, version) or _difference(layer, given, rank):
            raise SpecError(
                f"layer {layer.label}: {reason}, and multilstm executes the rule of Keras 3 alone; the file is of "
                f"Keras {version}; give the layer inputs without masks, or a Concatenate inputs with one mask"
            )


def dropped_masks(graph: Graph, version: str) -> tuple[str, ...]:
    """Return notes on the layers of a model of Keras 3.0 to 3.3 that merge masks, which those versions drop.

    Keras 3.4 keeps the masks of a list of inputs (https://github.com/keras-team/keras/pull/19685).

    Args:
        graph: the model.
        version: the version of Keras that wrote it.
    """
    number = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if not (3, 0) <= number < (3, 4):
        return ()
    kinds = (Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract)
    labels = dict.fromkeys(layer.label for layer, *_ in _masked_calls(graph)[1] if isinstance(layer, kinds))
    rule = f"Keras {version} drops the masks of its inputs; Keras 3.4 and later keep them, and so does multilstm"
    return tuple(f"layer {label}: {rule}" for label in labels)


def inner_mask_difference(layer: Layer) -> str:
    """Return the difference between Keras 2 and 3 for a mask made inside of a TimeDistributed; empty without one."""
    if isinstance(layer, TimeDistributed) and makes_mask(layer.layer):
        return f"Keras 2 passes the mask of the {layer.layer.class_name} inside on, and Keras 3 loses it"
    if layer.inner_model is None:
        return ""
    graph = layer.inner_model.model
    if _masked_calls(graph)[0][graph.outputs[0]] is not None:
        return "Keras 2 passes the mask of the output of the model inside on, and Keras 3 loses it"
    return next(filter(None, map(inner_mask_difference, graph.layers)), "")


def _masked_calls(graph: Graph) -> tuple[dict[Ref, _Mask | None], list[tuple[Layer, list[_Mask | None], int]]]:
    """Return the mask of every tensor, and the calls with masked inputs: layer, masks, and rank of the first input."""
    masks: dict[Ref, _Mask | None] = {}
    made: dict[Any, _Mask] = {}  # by the inputs and the number that they are compared with
    calls: list[tuple[Layer, list[_Mask | None], int]] = []
    for number, call in enumerate(graph.calls):
        layer = graph.layer(call.layer)
        given = [masks[ref] for ref in call.inputs]
        mask: _Mask | None = None
        if makes_mask(layer):
            mask = made.setdefault((call.inputs, getattr(layer, "mask_value", 0)), _Mask())
        elif any(given):
            calls.append((layer, given, len(graph.tensor_shapes[call.inputs[0]])))
            mask = _output_mask(layer, given)
        for output in range(layer.output_count):
            masks[Ref(number, output)] = mask if output < layer.masked_outputs else None
    return masks, calls


def _end_of_mask(layer: Any, version: str) -> str:
    """Return the difference for a layer that was a `Merge` of Keras 0; empty without one.

    Its `get_output_mask` returns None (keras/layers/core.py of Keras 0.3.3), as that of a Dot does in Keras 3.
    """
    is_merge = isinstance(layer, Add | Average | Concatenate | Maximum | Multiply)
    return "Keras 0 passes no mask through a Merge, and Keras 3 does" if is_merge and version.startswith("0") else ""


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
