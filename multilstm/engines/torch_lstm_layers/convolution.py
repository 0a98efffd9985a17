"""Convolutions. PyTorch's kernels are `[filters, channels, ...]`, Keras's `[..., channels, filters]`."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's custom

from multilstm.engines.torch_lstm_layers.activation import ACTIVATIONS
from multilstm.engines.torch_lstm_layers.base import Given, apply
from multilstm.engines.torch_lstm_layers.windows import channels_first, channels_last, padded
from multilstm.spec import Conv1D


@apply.register(Conv1D)
def _(layer: Conv1D, given: Given) -> Any:
    x = padded(channels_first(given.input), layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    kernel = given.weight("kernel").movedim((-1, -2), (0, 1))
    bias = given.weight("bias") if layer.use_bias else None
    z = F.conv1d(x, kernel, bias, layer.strides, 0, layer.dilation_rate, layer.groups)
    return ACTIVATIONS[str(layer.activation)](channels_last(z))
