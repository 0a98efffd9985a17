"""Layers of the reference: `apply` computes one call of any layer. One module a family registers its layers there."""

from multilstm.engines.reference.layers import (
    activation,
    attention,
    convolution,
    core,
    merging,
    noise,
    normalization,
    pooling,
    recurrent,
    structure,
    wrappers,
)
from multilstm.engines.reference.layers.base import AnyRecord, Applied, Given, Maybe, apply, within

FAMILIES = (
    activation,
    attention,
    convolution,
    core,
    merging,
    noise,
    normalization,
    pooling,
    recurrent,
    structure,
    wrappers,
)

__all__ = ["FAMILIES", "AnyRecord", "Applied", "Given", "Maybe", "apply", "within"]
