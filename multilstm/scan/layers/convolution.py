"""Convolutions over timesteps."""

from __future__ import annotations

import jax
from jax import lax

from multilstm.scan.layers.base import Given, apply
from multilstm.scan.loops.dense import dense
from multilstm.scan.loops.projection import precision
from multilstm.spec import Conv1D


@apply.register(Conv1D)
def _(layer: Conv1D, given: Given) -> jax.Array:
    padding: str | list[tuple[int, int]] = layer.padding.upper()
    if layer.padding == "causal":
        padding = [((layer.kernel_size[0] - 1) * layer.dilation_rate[0], 0)]
    z = lax.conv_general_dilated(
        given.input,
        given.weight("kernel"),
        layer.strides,
        padding,
        rhs_dilation=layer.dilation_rate,
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=layer.groups,
        precision=precision(),
    )
    bias = given.weight("bias") if layer.use_bias else None
    return dense(None, bias, z, str(layer.activation), given.custom_gradient)
