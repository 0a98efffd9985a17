"""Walking a model's graph with any kind of array: tensors and masks flow, the caller applies the layers.

What a mask does from layer to layer is Keras's rule, written once here, with operators that NumPy, JAX and PyTorch
arrays share. A mask is boolean `[batch, timesteps]`; True marks a timestep that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multilstm.spec.graph import Call, Graph, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import (
    LSTM,
    Bidirectional,
    Concatenate,
    Embedding,
    InputLayer,
    Masking,
    RepeatVector,
)

# apply(call, layer, inputs, mask of the first input, initial state tensors) -> the tensors that the call returns
Apply = Callable[[Call, Layer, list[Any], Any, list[Any]], Sequence[Any]]


def walk(
    graph: Graph, inputs: Mapping[str, Any], masks: Mapping[str, Any], apply: Apply
) -> tuple[dict[Ref, Any], dict[Ref, Any]]:
    """Executes `graph` by calling `apply` for every call of a layer, in order.

    Args:
        graph: the model.
        inputs: an array for every input layer, by name.
        masks: a boolean array `[batch, timesteps]` for those inputs that have one, as in Keras's `model(x, mask=...)`.
        apply: computes one call.

    Returns:
        All tensors and all masks (None where there is none) of the model, by `Ref`.
    """
    tensors: dict[Ref, Any] = {}
    kept: dict[Ref, Any] = {}
    for index, call in enumerate(graph.calls):
        layer = graph.layer(call.layer)
        if isinstance(layer, InputLayer):
            tensors[Ref(index)], kept[Ref(index)] = inputs[call.layer], masks.get(call.layer)
            continue
        given = [tensors[ref] for ref in call.inputs]
        given_masks = [kept[ref] for ref in call.inputs]
        states = [tensors[ref] for ref in call.initial_state]
        outputs = apply(call, layer, given, given_masks[0], states)
        mask = output_mask(layer, given, given_masks)
        for number, output in enumerate(outputs):
            tensors[Ref(index, number)] = output
            kept[Ref(index, number)] = mask if number < _masked_outputs(layer) else None
    return tensors, kept


def output_mask(layer: Layer, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
    """The mask of what `layer` returns, or None.

    Embedding masks token 0; Masking replaces the mask; an LSTM passes it on only with its whole sequence (unreversed,
    with go_backwards too); RepeatVector drops it; Concatenate keeps a timestep that any of its inputs keeps.
    """
    if isinstance(layer, Embedding):
        return inputs[0] != 0 if layer.mask_zero else None
    if isinstance(layer, Masking):
        return (inputs[0] != layer.mask_value).any(-1)
    if isinstance(layer, (LSTM, Bidirectional)):
        lstm = layer.layer if isinstance(layer, Bidirectional) else layer
        return masks[0] if lstm.return_sequences else None
    if isinstance(layer, RepeatVector):
        return None
    if isinstance(layer, Concatenate):
        if any(mask is None for mask in masks):
            return None if all(mask is None for mask in masks) else next(m for m in masks if m is not None) | True
        joined = masks[0]
        for mask in masks[1:]:
            joined = joined | mask
        return joined
    return masks[0]


def _masked_outputs(layer: Layer) -> int:
    """How many of the first outputs of a layer carry its mask; states never do."""
    return 2 if isinstance(layer, Bidirectional) and layer.merge_mode is None else 1
