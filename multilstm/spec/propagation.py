"""A walk through a model's graph with any kind of array: tensors and masks flow, the caller applies the layers.

The mask rule of each layer is Keras's, written once in `Layer.output_mask` with operators that NumPy, JAX and PyTorch
arrays share. A mask is boolean `[batch, timesteps]`; True marks a timestep that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multilstm.spec.graph import Call, Graph, Ref
from multilstm.spec.layer_base import Layer

__all__ = ["Apply", "walk"]

# apply(call, layer, inputs, their masks, initial state tensors) -> the tensors that the call returns
Apply = Callable[[Call, Layer, list[Any], list[Any], list[Any]], Sequence[Any]]


def walk(
    graph: Graph, inputs: Mapping[str, Any], masks: Mapping[str, Any], apply: Apply
) -> tuple[dict[Ref, Any], dict[Ref, Any]]:
    """Execute `graph`: call `apply` for every call of a layer, in order.

    Args:
        graph: the model.
        inputs: an array for every input layer, by name.
        masks: a boolean array `[batch, timesteps]` for those inputs that have one, as in Keras's `model(x, mask=...)`.
        apply: computes one call.

    Returns:
        All tensors and all masks (None where there is none) of the model, by `Ref`.
    """
    tensors: dict[Ref, Any] = {}
    tensor_masks: dict[Ref, Any] = {}
    for index, call in enumerate(graph.calls):
        layer = graph.layer(call.layer)
        if call.layer in graph.inputs:
            tensors[Ref(index)], tensor_masks[Ref(index)] = inputs[call.layer], masks.get(call.layer)
            continue
        arrays = [tensors[ref] for ref in call.inputs]
        array_masks = [tensor_masks[ref] for ref in call.inputs]
        states = [tensors[ref] for ref in call.initial_state]
        outputs = apply(call, layer, arrays, array_masks, states)
        mask = layer.output_mask(arrays, array_masks)
        for number, output in enumerate(outputs):
            tensors[Ref(index, number)] = output
            tensor_masks[Ref(index, number)] = mask if number < layer.masked_outputs else None
    return tensors, tensor_masks
