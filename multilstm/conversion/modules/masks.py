"""The masks of a model as variables of its source: which variable holds the mask of each tensor."""

from __future__ import annotations

from multilstm.conversion.target import refusal
from multilstm.spec import (
    AdditiveAttention,
    Attention,
    BatchNormalization,
    Embedding,
    GlobalAveragePooling1D,
    Graph,
    Masking,
    Maximum,
    Minimum,
    Multiply,
    Softmax,
)
from multilstm.spec.graph import Ref
from multilstm.spec.layers import InputLayer

__all__ = ["Mask", "masked_layers", "masks_of"]

ACTING = (  # layers without a state whose answers a mask of any input changes
    *(AdditiveAttention, Attention, BatchNormalization, GlobalAveragePooling1D),
    *(Maximum, Minimum, Multiply, Softmax),
)


class Mask:
    """A mask as a value without operations, made by a layer.

    Attributes:
        layer: the name of the Embedding or Masking that makes it.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer


def masks_of(spec: Graph) -> dict[Ref, Mask | None]:
    """Return the mask of every tensor, None without one.

    Raises:
        UnsupportedError: for a layer that computes a new mask from others, or one without a state that a mask changes.
    """
    masks: dict[Ref, Mask | None] = {}
    for number, call in enumerate(spec.calls):
        layer = spec.layer(call.layer)
        if isinstance(layer, InputLayer):
            masks[Ref(number)] = None
            continue
        inputs = [masks[ref] for ref in call.inputs]
        mask: Mask | None
        if isinstance(layer, Masking) or (isinstance(layer, Embedding) and layer.mask_zero):
            mask = Mask(call.layer)
        elif all(given is None for given in inputs):
            mask = None
        elif isinstance(layer, ACTING):
            raise refusal("module", layer, "the mask of its input", "its module takes no mask")
        else:
            try:
                mask = layer.output_mask([None] * len(inputs), inputs)
            except (AttributeError, TypeError):  # it computes with the mask
                raise refusal("module", layer, "the masks of its inputs", "it computes a new mask from them") from None
        for output in range(layer.output_count):
            masks[Ref(number, output)] = mask if output < layer.masked_outputs else None
    return masks


def masked_layers(spec: Graph) -> set[str]:
    """Return the names of the recurrent layers that a mask reaches."""
    masks = masks_of(spec)
    return {
        call.layer
        for call in spec.calls
        if spec.layer(call.layer).state_names and any(masks[ref] is not None for ref in call.inputs)
    }
