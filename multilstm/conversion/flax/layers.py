"""One layer without a state as Flax source. A layer that Flax's modules cannot express is refused by its name."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from multilstm.conversion.flax.api import Api
from multilstm.conversion.modules.parts import Part, arithmetic
from multilstm.conversion.target import refusal
from multilstm.spec import (
    ELU,
    Activation,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    Layer,
    LayerNormalization,
    LeakyReLU,
    Maximum,
    MaxPooling1D,
    MaxPooling2D,
    Minimum,
    Permute,
    ReLU,
    RepeatVector,
    Reshape,
    Softmax,
    SpatialDropout1D,
    TimeDistributed,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.shapes import Shape

__all__ = ["activated", "activation_function", "part", "refused"]

refused = functools.partial(refusal, "flax")

FUNCTIONS = {  # of a tensor in braces; `nn` is the API
    "linear": "{}",
    "tanh": "nn.tanh({})",
    "sigmoid": "nn.sigmoid({})",
    "relu": "nn.relu({})",
    "softmax": "nn.softmax({})",
    "hard_sigmoid": "nn.hard_sigmoid({})",
    "hard_sigmoid_keras2": "jnp.clip(0.2 * {} + 0.5, 0.0, 1.0)",
    "elu": "nn.elu({})",
    "selu": "nn.selu({})",
    "softplus": "nn.softplus({})",
    "softsign": "nn.soft_sign({})",
    "exponential": "jnp.exp({})",
    "silu": "nn.silu({})",
    "gelu": "nn.gelu({}, approximate=False)",
    "leaky_relu": "nn.leaky_relu({}, 0.2)",
    "relu6": "nn.relu6({})",
    "mish": "jax.nn.mish({})",
    "hard_silu": "nn.hard_silu({})",
    "log_softmax": "nn.log_softmax({})",
}
DISTRIBUTED = (  # whose source serves any number of axes before those that the layer reads
    *(Dense, Activation, Dropout, ReLU, LeakyReLU, ELU, LayerNormalization, Conv1D, Conv2D, Flatten),
    *(MaxPooling1D, MaxPooling2D, AveragePooling1D, AveragePooling2D),
    *(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D),
)


def activated(activation: str | None, expression: str, api: Api) -> str:
    """Return the expression of an activation of another expression."""
    call = FUNCTIONS[activation or "linear"]
    return (f"{api.prefix}.{call[3:]}" if call.startswith("nn.") else call).format(expression)


def activation_function(activation: str, api: Api) -> str:
    """Return an activation as the expression of a function."""
    call = activated(activation, "z", api)
    name = call.removesuffix("(z)")
    return f"lambda z: {call}" if name == call else name


def part(layer: Layer, shapes: Sequence[Shape], api: Api) -> Part:
    """Return a layer without a state as source.

    Args:
        layer: the layer.
        shapes: of its inputs, the batch in front.
        api: the API of Flax.

    Raises:
        UnsupportedError: for a layer, or an option, that has no counterpart in Flax.
    """
    return arithmetic(layer, len(shapes)) or _part(layer, shapes, api)


@functools.singledispatch
def _part(layer: Layer, shapes: Sequence[Shape], api: Api) -> Part:
    raise refused(layer, "its class", "no module of Flax is its counterpart")


@_part.register
def _(layer: Dense, shapes: Sequence[Shape], api: Api) -> Part:
    module = api.module(api.dense, shapes[0][-1], str(layer.units), *_bias(layer))
    return Part(module, activated(layer.activation, "{m}({0})", api))


@_part.register
def _(layer: TimeDistributed, shapes: Sequence[Shape], api: Api) -> Part:
    inner, (batch, _, *sizes) = layer.layer, shapes[0]
    if not isinstance(inner, DISTRIBUTED):
        raise refused(layer, f"the layer {inner.class_name} in it", "its module takes no axis of timesteps")
    if isinstance(inner, Flatten):
        return Part("", "{0}.reshape(*{0}.shape[:2], -1)")
    return part(inner, [(batch, *sizes)], api)


@_part.register
def _(layer: Embedding, shapes: Sequence[Shape], api: Api) -> Part:
    return Part(api.module("Embed", None, str(layer.input_dim), str(layer.output_dim)), "{m}({0})")


@_part.register
def _(layer: Activation, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", activated(layer.activation, "{0}", api))


@_part.register(Dropout)
@_part.register(SpatialDropout1D)
def _(layer: Dropout | SpatialDropout1D, shapes: Sequence[Shape], api: Api) -> Part:
    axes = ["broadcast_dims=(1,)"] if isinstance(layer, SpatialDropout1D) else []
    call = ", ".join(["{0}", *([api.dropout] if api.dropout else [])])
    return Part(api.module("Dropout", None, str(layer.rate), *axes), f"{{m}}({call})")


@_part.register
def _(layer: ReLU, shapes: Sequence[Shape], api: Api) -> Part:
    slope, most = layer.negative_slope, layer.max_value
    if layer.threshold:
        above = "{0}" if most is None else f"jnp.minimum({{0}}, {most})"
        below = f"{slope} * ({{0}} - {layer.threshold})" if slope else "0.0"
        return Part("", f"jnp.where({{0}} > {layer.threshold}, {above}, {below})")
    call = f"{api.prefix}.leaky_relu({{0}}, {slope})" if slope else f"{api.prefix}.relu({{0}})"
    return Part("", call if most is None else f"jnp.minimum({call}, {most})")


@_part.register
def _(layer: LeakyReLU, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", f"{api.prefix}.leaky_relu({{0}}, {layer.negative_slope})")


@_part.register
def _(layer: ELU, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", f"{api.prefix}.elu({{0}}, {layer.alpha})")


@_part.register
def _(layer: Softmax, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", f"{api.prefix}.softmax({{0}}, axis={layer.axis})")


@_part.register
def _(layer: LayerNormalization, shapes: Sequence[Shape], api: Api) -> Part:
    if layer.axes(shapes[0]) != (len(shapes[0]) - 1,):
        raise refused(layer, f"axis={layer.axis}", "the source normalizes the last axis")
    return Part(api.module("LayerNorm", shapes[0][-1], *_normalization(layer)), "{m}({0})")


@_part.register
def _(layer: BatchNormalization, shapes: Sequence[Shape], api: Api) -> Part:
    module = api.module("BatchNorm", shapes[0][-1], f"momentum={layer.momentum}", *_normalization(layer))
    mode = api.batch_norm if layer.trainable else "use_running_average=True"
    return Part(module, f"{{m}}({', '.join(['{0}', *([mode] if mode else [])])})")


def _normalization(layer: LayerNormalization | BatchNormalization) -> list[str]:
    """Return the arguments that both normalizations have; Flax's fast variance loses digits where the mean is large."""
    absent = [("use_bias=False", layer.center), ("use_scale=False", layer.scale)]
    return [f"epsilon={layer.epsilon}", *(text for text, used in absent if not used), "use_fast_variance=False"]


@_part.register(Conv1D)
@_part.register(Conv2D)
def _(layer: Conv1D | Conv2D, shapes: Sequence[Shape], api: Api) -> Part:
    ones = (1,) * len(layer.kernel_size)
    arguments = [str(layer.filters), f"kernel_size={layer.kernel_size}"]
    arguments += [] if layer.strides == ones else [f"strides={layer.strides}"]
    arguments += [] if layer.padding == "same" else [f'padding="{layer.padding.upper()}"']
    arguments += [] if layer.dilation_rate == ones else [f"kernel_dilation={layer.dilation_rate}"]
    arguments += [] if layer.groups == 1 else [f"feature_group_count={layer.groups}"]
    module = api.module("Conv", shapes[0][-1], *arguments, *_bias(layer))
    return Part(module, activated(layer.activation, "{m}({0})", api))


def _bias(layer: Dense | Conv1D | Conv2D) -> list[str]:
    return [] if layer.use_bias else ["use_bias=False"]


@_part.register(MaxPooling1D)
@_part.register(AveragePooling1D)
@_part.register(MaxPooling2D)
@_part.register(AveragePooling2D)
def _(layer: Any, shapes: Sequence[Shape], api: Api) -> Part:
    arguments = [str(layer.pool_size), f"strides={layer.strides or layer.pool_size}"]
    arguments += ['padding="SAME"'] if layer.padding == "same" else []
    is_mean = isinstance(layer, AveragePooling1D | AveragePooling2D)
    arguments += ["count_include_pad=False"] if is_mean and layer.padding == "same" else []
    return Part("", f"{api.prefix}.{'avg' if is_mean else 'max'}_pool({{0}}, {', '.join(arguments)})")


@_part.register(GlobalMaxPooling1D)
@_part.register(GlobalAveragePooling1D)
@_part.register(GlobalMaxPooling2D)
@_part.register(GlobalAveragePooling2D)
def _(layer: Any, shapes: Sequence[Shape], api: Api) -> Part:
    name = "mean" if isinstance(layer, GlobalAveragePooling1D | GlobalAveragePooling2D) else "max"
    axes = "-2" if layer.pooled_axes == 1 else "(-3, -2)"
    return Part("", f"{{0}}.{name}(axis={axes}{', keepdims=True' if layer.keepdims else ''})")


@_part.register
def _(layer: Flatten, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", "{0}.reshape({0}.shape[0], -1)")


@_part.register
def _(layer: Reshape, shapes: Sequence[Shape], api: Api) -> Part:
    sizes = ", ".join(str(-1 if size is None else size) for size in layer.target_shape)
    return Part("", f"{{0}}.reshape({{0}}.shape[0], {sizes})")


@_part.register
def _(layer: Permute, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", f"{{0}}.transpose(0, {', '.join(map(str, layer.dims))})")


@_part.register
def _(layer: RepeatVector, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", f"jnp.repeat({{0}}[:, None], {layer.n}, axis=1)")


@_part.register(ZeroPadding1D)
@_part.register(ZeroPadding2D)
def _(layer: ZeroPadding1D | ZeroPadding2D, shapes: Sequence[Shape], api: Api) -> Part:
    axes = [layer.padding] if isinstance(layer, ZeroPadding1D) else list(layer.padding)
    return Part("", f"jnp.pad({{0}}, {((0, 0), *axes, (0, 0))})")


@_part.register
def _(layer: UpSampling1D, shapes: Sequence[Shape], api: Api) -> Part:
    return Part("", f"jnp.repeat({{0}}, {layer.size}, axis=1)")


@_part.register
def _(layer: Concatenate, shapes: Sequence[Shape], api: Api) -> Part:
    inputs = ", ".join(f"{{{number}}}" for number in range(len(shapes)))
    return Part("", f"jnp.concatenate([{inputs}], axis={layer.axis})")


@_part.register(Maximum)
@_part.register(Minimum)
def _(layer: Maximum | Minimum, shapes: Sequence[Shape], api: Api) -> Part:
    name = "maximum" if isinstance(layer, Maximum) else "minimum"
    call = "{0}"
    for number in range(1, len(shapes)):
        call = f"jnp.{name}({call}, {{{number}}})"
    return Part("", call)
