"""One layer without a state as Flax source. A layer that Flax's modules cannot express is refused by its name."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from multilstm.conversion.flax.api import Api
from multilstm.conversion.modules.jax_parts import activated, jax_part
from multilstm.conversion.modules.parts import Part, arithmetic
from multilstm.conversion.target import refusal
from multilstm.spec import (
    ELU,
    Activation,
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
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
    MaxPooling1D,
    MaxPooling2D,
    ReLU,
    SpatialDropout1D,
    TimeDistributed,
)
from multilstm.spec.shapes import Shape

__all__ = ["part", "refused"]

refused = functools.partial(refusal, "flax")

DISTRIBUTED = (  # whose source serves any number of axes before those that the layer reads
    *(Dense, Activation, Dropout, ReLU, LeakyReLU, ELU, LayerNormalization, Conv1D, Conv2D, Flatten),
    *(MaxPooling1D, MaxPooling2D, AveragePooling1D, AveragePooling2D),
    *(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D),
)


def part(layer: Layer, shapes: Sequence[Shape], api: Api) -> Part:
    """Return a layer without a state as source.

    Args:
        layer: the layer.
        shapes: of its inputs, the batch in front.
        api: the API of Flax.

    Raises:
        UnsupportedError: for a layer, or an option, that has no counterpart in Flax.
    """
    return arithmetic(layer, len(shapes)) or jax_part(layer, shapes, api.prefix) or _part(layer, shapes, api)


@functools.singledispatch
def _part(layer: Layer, shapes: Sequence[Shape], api: Api) -> Part:
    raise refused(layer, "its class", "no module of Flax is its counterpart")


@_part.register
def _(layer: Dense, shapes: Sequence[Shape], api: Api) -> Part:
    module = api.module(api.dense, shapes[0][-1], str(layer.units), *_bias(layer))
    return Part(module, activated(layer.activation, "{m}({0})", api.prefix))


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


@_part.register(Dropout)
@_part.register(SpatialDropout1D)
def _(layer: Dropout | SpatialDropout1D, shapes: Sequence[Shape], api: Api) -> Part:
    axes = ["broadcast_dims=(1,)"] if isinstance(layer, SpatialDropout1D) else []
    call = ", ".join(["{0}", *([api.dropout] if api.dropout else [])])
    return Part(api.module("Dropout", None, str(layer.rate), *axes), f"{{m}}({call})")


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
    return Part(module, activated(layer.activation, "{m}({0})", api.prefix))


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
