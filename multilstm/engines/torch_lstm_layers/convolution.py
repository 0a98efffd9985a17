"""Convolutions. PyTorch's kernels are `[filters, channels, ...]`, Keras's `[..., channels, filters]`."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's custom

from multilstm.engines.torch_lstm_layers.activation import ACTIVATIONS
from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.engines.torch_lstm_layers.windows import channels_first, channels_last, padded
from multilstm.spec import Conv1D, Conv2D, DepthwiseConv2D

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d}


@apply.register(Conv1D)
@apply.register(Conv2D)
def _(layer: Conv1D | Conv2D, given: Given) -> Any:
    return _convolved(layer, given, given.weight("kernel").movedim((-1, -2), (0, 1)), layer.groups)


@apply.register
def _(layer: DepthwiseConv2D, given: Given) -> Any:
    """Compute a convolution with as many groups as channels; its filters are `[channels * multiplier, 1, ...]`."""
    kernel = given.weight("kernel").flatten(-2).movedim(-1, 0)[:, None]
    return _convolved(layer, given, kernel, given.input.shape[-1])


def _convolved(layer: Conv1D | Conv2D | DepthwiseConv2D, given: Given, kernel: Any, groups: int) -> Any:
    x = padded(channels_first(given.input), layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    bias = given.weight("bias") if layer.use_bias else None
    convolution = _CONVOLUTIONS[len(layer.kernel_size)]
    z = convolution(x, kernel, bias, layer.strides, 0, layer.dilation_rate, groups)
    return ACTIVATIONS[str(layer.activation)](channels_last(z))
