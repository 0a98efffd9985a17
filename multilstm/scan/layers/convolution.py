"""Convolutions."""

from __future__ import annotations

import jax
from jax import lax

from multilstm.scan.layers.base import Given, apply
from multilstm.scan.loops.dense import dense
from multilstm.scan.loops.projection import precision
from multilstm.spec import Conv1D, Conv2D, DepthwiseConv2D


@apply.register(Conv1D)
@apply.register(Conv2D)
def _(layer: Conv1D | Conv2D, given: Given) -> jax.Array:
    return _convolved(layer, given, given.weight("kernel"), layer.groups)


@apply.register
def _(layer: DepthwiseConv2D, given: Given) -> jax.Array:
    """Compute a convolution with as many groups as channels; its kernel is `[..., 1, channels * multiplier]`."""
    kernel = given.weight("kernel")
    channels = given.input.shape[-1]
    return _convolved(layer, given, kernel.reshape(*kernel.shape[:-2], 1, channels * kernel.shape[-1]), channels)


def _convolved(layer: Conv1D | Conv2D | DepthwiseConv2D, given: Given, kernel: jax.Array, groups: int) -> jax.Array:
    padding: str | list[tuple[int, int]] = layer.padding.upper()
    if layer.padding == "causal":
        padding = [((layer.kernel_size[0] - 1) * layer.dilation_rate[0], 0)]
    axes = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}
    z = lax.conv_general_dilated(
        given.input,
        kernel,
        layer.strides,
        padding,
        rhs_dilation=layer.dilation_rate,
        dimension_numbers=axes[len(layer.kernel_size)],
        feature_group_count=groups,
        precision=precision(),
    )
    bias = given.weight("bias") if layer.use_bias else None
    return dense(None, bias, z, str(layer.activation), given.custom_gradient)
