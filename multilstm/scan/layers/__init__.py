"""The layers of a spec without a state, as JAX functions. One module a family registers its layers with `apply`."""

from multilstm.scan.layers import (
    activation,
    attention,
    convolution,
    core,
    merging,
    noise,
    normalization,
    pooling,
    structure,
    wrappers,
)
from multilstm.scan.layers.base import Given, apply

FAMILIES = (activation, attention, convolution, core, merging, noise, normalization, pooling, structure, wrappers)

__all__ = ["FAMILIES", "Given", "apply"]
