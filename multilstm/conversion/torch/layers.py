"""One layer of a spec as PyTorch source: its module, and the lines of `forward` that call it.

Tensors are `[batch, timesteps, features]`, as in Keras. A layer that PyTorch's modules cannot express is refused by its
name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from multilstm.conversion.modules.parts import Part, arithmetic, attention_part, dot_part
from multilstm.conversion.target import refusal
from multilstm.spec import (
    ELU,
    GRU,
    LSTM,
    Activation,
    Attention,
    AveragePooling1D,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Layer,
    LayerNormalization,
    LeakyReLU,
    Maximum,
    MaxPooling1D,
    Minimum,
    Permute,
    ReLU,
    RepeatVector,
    Reshape,
    SimpleRNN,
    Softmax,
    SpatialDropout1D,
    TimeDistributed,
    UpSampling1D,
    ZeroPadding1D,
)
from multilstm.spec.layers import Recurrent
from multilstm.spec.shapes import Shape

__all__ = ["part", "recurrent_part", "refused"]

refused = functools.partial(refusal, "torch")


FUNCTIONS = {  # of a tensor in braces
    "linear": "{}",
    "tanh": "torch.tanh({})",
    "sigmoid": "torch.sigmoid({})",
    "relu": "torch.relu({})",
    "softmax": "torch.softmax({}, dim=-1)",
    "hard_sigmoid": "F.relu6({} + 3) / 6",  # the gradient of F.hardsigmoid takes 1 / 6 from float32
    "hard_sigmoid_keras2": "F.hardtanh(0.2 * {} + 0.5, 0.0, 1.0)",
    "elu": "F.elu({})",
    "selu": "F.selu({})",
    "softplus": "F.softplus({}, threshold=40)",
    "softsign": "F.softsign({})",
    "exponential": "torch.exp({})",
    "silu": "F.silu({})",
    "gelu": "F.gelu({})",
    "leaky_relu": "F.leaky_relu({}, 0.2)",
    "relu6": "F.relu6({})",
    "mish": "F.mish({})",
    "hard_silu": "F.hardswish({})",
    "log_softmax": "torch.log_softmax({}, dim=-1)",
}


def recurrent_part(layer: Recurrent, features: int, bidirectional: bool, masked: bool) -> str:
    """Return the constructor of a recurrent layer's module: of PyTorch, or the class `LSTM` of `loop.py`.

    Args:
        layer: the layer, one direction of it.
        features: the size of its inputs.
        bidirectional: whether the module has two directions.
        masked: whether a mask reaches it.

    Raises:
        UnsupportedError: for options that neither has.
    """
    gated: dict[str, Any] = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    kinds: dict[type, tuple[str, dict[str, Any]]] = {
        LSTM: ("LSTM", gated),
        GRU: ("GRU", {**gated, "reset_after": True}),
        SimpleRNN: ("RNN", {}),
    }
    if type(layer) not in kinds:
        raise refused(layer, "recurrent convolutions", "PyTorch has no module for them")
    name, wanted = kinds[type(layer)]
    others = {
        argument: getattr(layer, argument) for argument, value in wanted.items() if getattr(layer, argument) != value
    }
    arguments = [str(features), str(layer.units), *([] if layer.use_bias else ["bias=False"])]
    arguments += ["bidirectional=True"] if bidirectional else []
    if isinstance(layer, LSTM) and (masked or others):
        arguments += [f"{argument}={_function(str(value))}" for argument, value in others.items()]
        return f"LSTM({', '.join(arguments)})"
    if masked:
        raise refused(layer, "the mask of its input", f"torch.nn.{name} has none")
    for argument, value in others.items():
        raise refused(layer, f"{argument}={value!r}", f"torch.nn.{name} has {wanted[argument]!r}")
    if isinstance(layer, SimpleRNN) and layer.activation != "tanh":
        if layer.activation != "relu":
            raise refused(layer, f"activation={layer.activation!r}", "torch.nn.RNN has 'tanh' and 'relu'")
        arguments.append('nonlinearity="relu"')
    return f"nn.{name}({', '.join([*arguments, 'batch_first=True'])})"


def _function(activation: str) -> str:
    """Return an activation as the expression of a function."""
    call = FUNCTIONS[activation]
    name = call.removesuffix("({})")
    return f"lambda z: {call.format('z')}" if name == call else name


def part(layer: Layer, shapes: Sequence[Shape]) -> Part:
    """Return a layer without a state as source.

    Args:
        layer: the layer.
        shapes: of its inputs, the batch in front.

    Raises:
        UnsupportedError: for a layer, or an option, that has no counterpart in PyTorch.
    """
    return arithmetic(layer, len(shapes)) or _products(layer, shapes) or _part(layer, shapes)


def _products(layer: Layer, shapes: Sequence[Shape]) -> Part | None:
    """Return a layer that multiplies tensors; None for another one, and for one with weights."""
    if isinstance(layer, Attention):
        return attention_part(layer, len(shapes), "torch.softmax({}, dim=-1)")
    return dot_part(layer, shapes, "torch.einsum") if isinstance(layer, Dot) else None


@functools.singledispatch
def _part(layer: Layer, shapes: Sequence[Shape]) -> Part:
    raise refused(layer, "its class", "no module of PyTorch is its counterpart")


def _activated(activation: Any, expression: str) -> str:
    return FUNCTIONS[str(activation or "linear")].format(expression)


def _sizes(layer: Layer, shape: Shape) -> list[int]:
    """Return the sizes behind the batch, which must be known."""
    sizes = [size for size in shape[1:] if size is not None]
    if len(sizes) < len(shape) - 1:
        raise refused(layer, f"the open size in {shape}", "its module needs the size")
    return sizes


@_part.register
def _(layer: Dense, shapes: Sequence[Shape]) -> Part:
    bias = "" if layer.use_bias else ", bias=False"
    return Part(f"nn.Linear({shapes[0][-1]}, {layer.units}{bias})", _activated(layer.activation, "{m}({0})"))


@_part.register
def _(layer: TimeDistributed, shapes: Sequence[Shape]) -> Part:
    if not isinstance(layer.layer, Dense | Activation | Dropout):
        raise refused(layer, f"the layer {layer.layer.class_name} in it", "Dense, Activation and Dropout are converted")
    return part(layer.layer, shapes)


@_part.register
def _(layer: Embedding, shapes: Sequence[Shape]) -> Part:
    return Part(f"nn.Embedding({layer.input_dim}, {layer.output_dim})", "{m}({0})")


@_part.register
def _(layer: Activation, shapes: Sequence[Shape]) -> Part:
    return Part("", _activated(layer.activation, "{0}"))


@_part.register
def _(layer: Dropout, shapes: Sequence[Shape]) -> Part:
    return Part(f"nn.Dropout({layer.rate})", "{m}({0})")


@_part.register
def _(layer: SpatialDropout1D, shapes: Sequence[Shape]) -> Part:
    return Part(f"nn.Dropout1d({layer.rate})", "{m}({0}.mT).mT")


@_part.register
def _(layer: ReLU, shapes: Sequence[Shape]) -> Part:
    if layer.threshold or (layer.max_value is not None and layer.negative_slope):
        raise refused(layer, "its threshold or its maximum", "torch.nn.ReLU and LeakyReLU have neither")
    if layer.max_value is not None:
        return Part("", f"{{0}}.clamp(0.0, {layer.max_value})")
    return Part("", f"F.leaky_relu({{0}}, {layer.negative_slope})" if layer.negative_slope else "torch.relu({0})")


@_part.register
def _(layer: LeakyReLU, shapes: Sequence[Shape]) -> Part:
    return Part("", f"F.leaky_relu({{0}}, {layer.negative_slope})")


@_part.register
def _(layer: ELU, shapes: Sequence[Shape]) -> Part:
    return Part("", f"F.elu({{0}}, {layer.alpha})")


@_part.register
def _(layer: Softmax, shapes: Sequence[Shape]) -> Part:
    return Part("", f"torch.softmax({{0}}, dim={layer.axis})")


@_part.register
def _(layer: LayerNormalization, shapes: Sequence[Shape]) -> Part:
    axes = layer.axis if isinstance(layer.axis, tuple) else (layer.axis,)
    if [axis % len(shapes[0]) for axis in axes] != [len(shapes[0]) - 1] or layer.center != layer.scale:
        raise refused(layer, f"axis={layer.axis}, center={layer.center}", "torch.nn.LayerNorm has the last axis, both")
    options = f", eps={layer.epsilon}" + ("" if layer.scale else ", elementwise_affine=False")
    return Part(f"nn.LayerNorm({shapes[0][-1]}{options})", "{m}({0})")


@_part.register
def _(layer: BatchNormalization, shapes: Sequence[Shape]) -> Part:
    rank = len(shapes[0])
    if layer.axis % rank != rank - 1 or layer.center != layer.scale or rank > 3:
        raise refused(layer, f"axis={layer.axis}, center={layer.center}", "torch.nn.BatchNorm1d has features and both")
    options = f"eps={layer.epsilon}, momentum={round(1 - layer.momentum, 12)}" + (
        "" if layer.scale else ", affine=False"
    )
    return Part(f"nn.BatchNorm1d({shapes[0][-1]}, {options})", "{m}({0}.mT).mT" if rank == 3 else "{m}({0})")


@_part.register
def _(layer: Conv1D, shapes: Sequence[Shape]) -> Part:
    (width,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    options = [] if stride == 1 else [f"stride={stride}"]
    options += [] if dilation == 1 else [f"dilation={dilation}"]
    options += [] if layer.groups == 1 else [f"groups={layer.groups}"]
    options += [] if layer.use_bias else ["bias=False"]
    source, reach = "{0}.mT", dilation * (width - 1)
    if layer.padding == "same" and reach:
        if stride == 1:
            source = f"F.pad({source}, ({reach // 2}, {reach - reach // 2}))"
        else:
            (timesteps, _) = _sizes(layer, shapes[0])
            total = max((math.ceil(timesteps / stride) - 1) * stride + reach + 1 - timesteps, 0)
            source = f"F.pad({source}, ({total // 2}, {total - total // 2}))"
    elif layer.padding == "causal" and reach:
        source = f"F.pad({source}, ({reach}, 0))"
    arguments = ", ".join([f"{shapes[0][-1]}, {layer.filters}, {width}", *options])
    return Part(f"nn.Conv1d({arguments})", _activated(layer.activation, f"{{m}}({source}).mT"))


@_part.register(MaxPooling1D)
@_part.register(AveragePooling1D)
def _(layer: MaxPooling1D | AveragePooling1D, shapes: Sequence[Shape]) -> Part:
    if layer.padding != "valid":
        raise refused(layer, f"padding={layer.padding!r}", "PyTorch pads both ends alike")
    (size,) = layer.pool_size
    (stride,) = layer.strides or layer.pool_size
    name = "max_pool1d" if isinstance(layer, MaxPooling1D) else "avg_pool1d"
    return Part("", f"F.{name}({{0}}.mT, {size}, {stride}).mT")


@_part.register(GlobalMaxPooling1D)
@_part.register(GlobalAveragePooling1D)
def _(layer: GlobalMaxPooling1D | GlobalAveragePooling1D, shapes: Sequence[Shape]) -> Part:
    name = "amax" if isinstance(layer, GlobalMaxPooling1D) else "mean"
    return Part("", f"{{0}}.{name}(dim=1{', keepdim=True' if layer.keepdims else ''})")


@_part.register
def _(layer: Flatten, shapes: Sequence[Shape]) -> Part:
    return Part("", "{0}.flatten(1)")


@_part.register
def _(layer: Reshape, shapes: Sequence[Shape]) -> Part:
    sizes = ", ".join(str(-1 if size is None else size) for size in layer.target_shape)
    return Part(
        "", f"{{0}}.unflatten(1, ({sizes},))" if len(shapes[0]) == 2 else f"{{0}}.flatten(1).unflatten(1, ({sizes},))"
    )


@_part.register
def _(layer: Permute, shapes: Sequence[Shape]) -> Part:
    return Part("", f"{{0}}.permute(0, {', '.join(map(str, layer.dims))})")


@_part.register
def _(layer: RepeatVector, shapes: Sequence[Shape]) -> Part:
    return Part("", f"{{0}}[:, None].expand(-1, {layer.n}, -1)")


@_part.register
def _(layer: ZeroPadding1D, shapes: Sequence[Shape]) -> Part:
    before, after = layer.padding
    return Part("", f"F.pad({{0}}, (0, 0, {before}, {after}))")


@_part.register
def _(layer: UpSampling1D, shapes: Sequence[Shape]) -> Part:
    return Part("", f"{{0}}.repeat_interleave({layer.size}, dim=1)")


@_part.register
def _(layer: Concatenate, shapes: Sequence[Shape]) -> Part:
    return Part("", f"torch.cat([{_inputs(shapes)}], dim={layer.axis})")


@_part.register(Maximum)
@_part.register(Minimum)
def _(layer: Maximum | Minimum, shapes: Sequence[Shape]) -> Part:
    name = "maximum" if isinstance(layer, Maximum) else "minimum"
    call = "{0}"
    for number in range(1, len(shapes)):
        call = f"torch.{name}({call}, {{{number}}})"
    return Part("", call)


def _inputs(shapes: Sequence[Shape]) -> str:
    return ", ".join(f"{{{number}}}" for number in range(len(shapes)))
