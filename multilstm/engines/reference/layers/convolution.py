"""Convolutions of the reference: windows times a kernel, one matrix product for each group of channels."""

from __future__ import annotations

import numpy as np

from multilstm.engines.reference.activations import function_of
from multilstm.engines.reference.layers.base import Applied, Given, Gradients, Maybe, apply, present
from multilstm.engines.reference.layers.core import pull
from multilstm.engines.reference.windows import Windows
from multilstm.spec import Conv1D, Conv2D, DepthwiseConv2D


@apply.register(Conv1D)
@apply.register(Conv2D)
@apply.register(DepthwiseConv2D)
def _(layer: Conv1D | Conv2D | DepthwiseConv2D, given: Given) -> Applied:
    """Compute `z[n, g, f] = sum over k, c of window[k, n, g, c] * kernel[k, c, g, f] + bias`.

    `k` counts the elements of a window, and `n` the windows of all sequences. `g` counts the groups, `c` and `f` the
    channels and the filters of one group.
    """
    x, kernel = given.inputs[0], given.weights["kernel"]
    groups = x.shape[-1] if isinstance(layer, DepthwiseConv2D) else layer.groups
    windows = Windows.of(x.shape, layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    elements = windows.gather(x)
    split = elements.reshape(len(elements), -1, groups, x.shape[-1] // groups)
    parts = kernel.reshape(len(elements), x.shape[-1] // groups, groups, -1)
    z = np.einsum("kngc,kcgf->ngf", split, parts, optimize=True)
    z = z.reshape(len(x), *windows.counts, groups * parts.shape[-1])
    if layer.use_bias:
        z = z + given.weights["bias"]
    function = function_of(str(layer.activation))
    output = function.forward(z)

    def backward(gradients: list[Maybe]) -> Gradients:
        reached, d_z = pull(function, z, output, present(gradients[0]))
        d_split = d_z.reshape(-1, groups, parts.shape[-1])
        used = np.where(reached.reshape(1, -1, 1, 1), split, 0.0)  # a window without a gradient may hold NaN
        d_weights = {"kernel": np.einsum("kngc,ngf->kcgf", used, d_split, optimize=True).reshape(kernel.shape)}
        if layer.use_bias:
            d_weights["bias"] = d_split.sum(axis=0).reshape(-1)
        d_elements = np.einsum("ngf,kcgf->kngc", d_split, parts, optimize=True)
        return Gradients([windows.scatter(d_elements.reshape(elements.shape))], d_weights)

    return Applied([output], backward)
