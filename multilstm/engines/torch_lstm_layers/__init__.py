"""The layers of a spec without a state, in PyTorch. One module a family registers its layers with `apply`."""

from multilstm.engines.torch_lstm_layers import (
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
from multilstm.engines.torch_lstm_layers.base import Given, apply

FAMILIES = (activation, attention, convolution, core, merging, noise, normalization, pooling, structure, wrappers)

__all__ = ["FAMILIES", "Given", "apply"]
