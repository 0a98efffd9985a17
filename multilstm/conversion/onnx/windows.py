"""Layers over windows and over all timesteps as nodes of ONNX: convolution, pooling, normalization.

ONNX has the channels behind the batch, `[batch, channels, timesteps]`, so a Transpose goes before and behind a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multilstm.conversion.onnx.activations import activated
from multilstm.conversion.onnx.layers import Given, write
from multilstm.conversion.onnx.nodes import Scope
from multilstm.spec import (
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Conv1D,
    Conv2D,
    DepthwiseConv2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    LayerNormalization,
    MaxPooling1D,
    MaxPooling2D,
)
from multilstm.spec.arrays import Array
from multilstm.spec.shapes import Shape

__all__: list[str] = []  # the functions are registered with `write`


@write.register(Conv1D)
@write.register(Conv2D)
@write.register(DepthwiseConv2D)
def _(layer: Conv1D | Conv2D | DepthwiseConv2D, given: Given) -> str:
    scope, kernel, dims = given.scope, given.weights["kernel"], len(layer.kernel_size)
    features = int(given.x.shape[-1] or 0)
    depthwise = isinstance(layer, DepthwiseConv2D)
    if depthwise:  # filter m of channel c becomes filter c * depth_multiplier + m
        kernel = kernel.reshape(*layer.kernel_size, 1, -1)
    inputs = [_channels_first(scope, given.x, dims), scope.weight("kernel", np.moveaxis(kernel, (-1, -2), (0, 1)))]
    if layer.use_bias:
        inputs.append(scope.weight("bias", given.weights["bias"]))
    output = scope(
        "Conv",
        *inputs,
        name=scope.layer,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=features if isinstance(layer, DepthwiseConv2D) else layer.groups,
        **_padding(layer.padding, given.x.shape, layer.kernel_size, layer.strides, layer.dilation_rate),
    )
    return activated(scope, layer.activation, _channels_last(scope, output, dims))


@write.register(MaxPooling1D)
@write.register(MaxPooling2D)
@write.register(AveragePooling1D)
@write.register(AveragePooling2D)
def _(layer: MaxPooling1D | MaxPooling2D | AveragePooling1D | AveragePooling2D, given: Given) -> str:
    """Pool over windows; padding counts in no mean."""
    scope, dims = given.scope, len(layer.pool_size)
    output = scope(
        "MaxPool" if isinstance(layer, MaxPooling1D | MaxPooling2D) else "AveragePool",
        _channels_first(scope, given.x, dims),
        name=scope.layer,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        **_padding(layer.padding, given.x.shape, layer.pool_size, layer.strides, (1,) * dims),
    )
    return _channels_last(scope, output, dims)


def _padding(
    padding: str, shape: Shape, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> dict[str, Any]:
    """Return the attributes of a padding: numbers where the sizes are known or do not matter."""
    spans = [(size - 1) * step + 1 for size, step in zip(window, dilation, strict=True)]
    if padding == "valid":
        return {}
    if padding == "causal":
        return {"pads": [spans[0] - 1, 0]}
    totals = []
    for size, span, stride in zip(shape[1:-1], spans, strides, strict=True):
        if size is None and stride > 1:
            return {"auto_pad": "SAME_UPPER"}
        totals.append(span - 1 if size is None else max((-(-size // stride) - 1) * stride + span - size, 0))
    return {"pads": [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]}


def _channels_first(scope: Scope, x: object, dims: int) -> str:
    return scope.transposed(x, 0, dims + 1, *range(1, dims + 1))


def _channels_last(scope: Scope, x: object, dims: int) -> str:
    return scope.transposed(x, 0, *range(2, dims + 2), 1)


@write.register(GlobalMaxPooling1D)
@write.register(GlobalMaxPooling2D)
def _(layer: GlobalMaxPooling1D | GlobalMaxPooling2D, given: Given) -> str:
    return given.scope.reduced("ReduceMax", given.x, *range(1, layer.pooled_axes + 1), keepdims=layer.keepdims)


@write.register(GlobalAveragePooling1D)
@write.register(GlobalAveragePooling2D)
def _(layer: GlobalAveragePooling1D | GlobalAveragePooling2D, given: Given) -> str:
    """Take the mean over the timesteps that the mask keeps; 0 if it keeps none."""
    scope, axes, mask = given.scope, tuple(range(1, layer.pooled_axes + 1)), given.masks[0]
    if mask is None or layer.pooled_axes > 1:
        return scope.reduced("ReduceMean", given.x, *axes, keepdims=layer.keepdims)
    kept = scope("Where", scope.expanded(mask, 2), given.x, scope.number(0.0))
    one = scope("CastLike", scope.expanded(mask, 2), scope.number(1.0))
    counts = scope("Max", scope.reduced("ReduceSum", one, 1, keepdims=layer.keepdims), scope.number(1.0))
    return scope("Div", scope.reduced("ReduceSum", kept, 1, keepdims=layer.keepdims), counts)


@write.register
def _(layer: LayerNormalization, given: Given) -> str:
    scope, x = given.scope, given.x
    axes = layer.axes(x.shape)
    sizes = tuple(int(x.shape[axis] or 0) for axis in axes)
    scale = {name: given.weights[name] for name in ("gamma", "beta") if name in given.weights}
    last = axes == tuple(range(x.ndim - len(axes), x.ndim))
    if scope.nodes.opset >= 17 and last and scope.nodes.exact(layer.epsilon):
        arrays = [_vector(scope, scale, "gamma", 1.0, sizes)]
        if "beta" in scale:
            arrays.append(_vector(scope, scale, "beta", 0.0, sizes))
        return scope("LayerNormalization", x, *arrays, name=scope.layer, axis=axes[0], epsilon=layer.epsilon)
    difference = scope("Sub", x, scope.reduced("ReduceMean", x, *axes, keepdims=True))
    variance = scope.reduced("ReduceMean", scope("Mul", difference, difference), *axes, keepdims=True)
    output = scope("Mul", difference, _inverse(scope, variance, layer.epsilon))
    shape = [int(size or 0) if axis in axes else 1 for axis, size in enumerate(x.shape)]
    for name, op in (("gamma", "Mul"), ("beta", "Add")):
        if name in scale:
            output = scope(op, output, scope.weight(name, scale[name].reshape(shape)))
    return output


@write.register
def _(layer: BatchNormalization, given: Given) -> str:
    """Normalize by the moving statistics."""
    scope, dims, weights = given.scope, given.x.ndim - 2, given.weights
    sizes = weights["moving_mean"].shape
    if not scope.nodes.exact(layer.epsilon):
        difference = scope("Sub", given.x, scope.weight("moving_mean", weights["moving_mean"]))
        variance = scope.weight("moving_variance", weights["moving_variance"])
        output = scope("Mul", difference, _inverse(scope, variance, layer.epsilon))
        for name, op in (("gamma", "Mul"), ("beta", "Add")):
            if name in weights:
                output = scope(op, output, scope.weight(name, weights[name]))
        return output
    output = scope(
        "BatchNormalization",
        _channels_first(scope, given.x, dims),
        _vector(scope, weights, "gamma", 1.0, sizes),
        _vector(scope, weights, "beta", 0.0, sizes),
        *(scope.weight(name, weights[name]) for name in ("moving_mean", "moving_variance")),
        name=scope.layer,
        epsilon=layer.epsilon,
    )
    return _channels_last(scope, output, dims)


def _inverse(scope: Scope, variance: str, epsilon: float) -> str:
    return scope("Reciprocal", scope("Sqrt", scope("Add", variance, scope.number(epsilon))))


def _vector(scope: Scope, weights: Any, name: str, default: float, shape: tuple[int, ...]) -> str:
    """Return a weight as a constant, or the default where the layer lacks it."""
    if name in weights:
        return scope.weight(name, weights[name])
    array: Array = np.full(shape, default)
    return scope.weight(name, array, counted=False)
