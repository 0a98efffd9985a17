"""One layer without a state as JAX source, for layers that need no module: the same in every framework of JAX."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from multilstm.conversion.modules.parts import Part, attention_part, dot_part
from multilstm.spec import (
    ELU,
    Activation,
    Attention,
    Concatenate,
    Dot,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    Layer,
    LeakyReLU,
    Maximum,
    Minimum,
    Permute,
    ReLU,
    RepeatVector,
    Reshape,
    Softmax,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.shapes import Shape

__all__ = ["activated", "activation_function", "jax_part"]

FUNCTIONS = {  # of a tensor in braces; `nn` is the module of functions
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


def activated(activation: str | None, expression: str, functions: str) -> str:
    """Return the expression of an activation of another expression.

    Args:
        activation: its name; None: the identity.
        expression: its argument.
        functions: the module of the functions in the source, such as `nnx`.
    """
    call = FUNCTIONS[activation or "linear"]
    return (f"{functions}.{call[3:]}" if call.startswith("nn.") else call).format(expression)


def activation_function(activation: str, functions: str) -> str:
    """Return an activation as the expression of a function."""
    call = activated(activation, "z", functions)
    name = call.removesuffix("(z)")
    return f"lambda z: {call}" if name == call else name


@functools.singledispatch
def jax_part(layer: Layer, shapes: Sequence[Shape], functions: str) -> Part | None:
    """Return a layer as source; None for a layer that needs a module.

    Args:
        layer: the layer.
        shapes: of its inputs, the batch in front.
        functions: the module of the functions in the source, such as `nnx`.
    """
    return None


@jax_part.register
def _(layer: Activation, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", activated(layer.activation, "{0}", functions))


@jax_part.register
def _(layer: ReLU, shapes: Sequence[Shape], functions: str) -> Part:
    slope, most = layer.negative_slope, layer.max_value
    if layer.threshold:
        above = "{0}" if most is None else f"jnp.minimum({{0}}, {most})"
        below = f"{slope} * ({{0}} - {layer.threshold})" if slope else "0.0"
        return Part("", f"jnp.where({{0}} > {layer.threshold}, {above}, {below})")
    call = f"{functions}.leaky_relu({{0}}, {slope})" if slope else f"{functions}.relu({{0}})"
    return Part("", call if most is None else f"jnp.minimum({call}, {most})")


@jax_part.register
def _(layer: LeakyReLU, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", f"{functions}.leaky_relu({{0}}, {layer.negative_slope})")


@jax_part.register
def _(layer: ELU, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", f"{functions}.elu({{0}}, {layer.alpha})")


@jax_part.register
def _(layer: Softmax, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", f"{functions}.softmax({{0}}, axis={layer.axis})")


@jax_part.register(GlobalMaxPooling1D)
@jax_part.register(GlobalAveragePooling1D)
@jax_part.register(GlobalMaxPooling2D)
@jax_part.register(GlobalAveragePooling2D)
def _(layer: Any, shapes: Sequence[Shape], functions: str) -> Part:
    name = "mean" if isinstance(layer, GlobalAveragePooling1D | GlobalAveragePooling2D) else "max"
    axes = "-2" if layer.pooled_axes == 1 else "(-3, -2)"
    return Part("", f"{{0}}.{name}(axis={axes}{', keepdims=True' if layer.keepdims else ''})")


@jax_part.register
def _(layer: Flatten, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", "{0}.reshape({0}.shape[0], -1)")


@jax_part.register
def _(layer: Reshape, shapes: Sequence[Shape], functions: str) -> Part:
    sizes = ", ".join(str(-1 if size is None else size) for size in layer.target_shape)
    return Part("", f"{{0}}.reshape({{0}}.shape[0], {sizes})")


@jax_part.register
def _(layer: Permute, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", f"{{0}}.transpose(0, {', '.join(map(str, layer.dims))})")


@jax_part.register
def _(layer: RepeatVector, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", f"jnp.repeat({{0}}[:, None], {layer.n}, axis=1)")


@jax_part.register(ZeroPadding1D)
@jax_part.register(ZeroPadding2D)
def _(layer: ZeroPadding1D | ZeroPadding2D, shapes: Sequence[Shape], functions: str) -> Part:
    axes = [layer.padding] if isinstance(layer, ZeroPadding1D) else list(layer.padding)
    return Part("", f"jnp.pad({{0}}, {((0, 0), *axes, (0, 0))})")


@jax_part.register
def _(layer: UpSampling1D, shapes: Sequence[Shape], functions: str) -> Part:
    return Part("", f"jnp.repeat({{0}}, {layer.size}, axis=1)")


@jax_part.register
def _(layer: Concatenate, shapes: Sequence[Shape], functions: str) -> Part:
    inputs = ", ".join(f"{{{number}}}" for number in range(len(shapes)))
    return Part("", f"jnp.concatenate([{inputs}], axis={layer.axis})")


@jax_part.register(Maximum)
@jax_part.register(Minimum)
def _(layer: Maximum | Minimum, shapes: Sequence[Shape], functions: str) -> Part:
    name = "maximum" if isinstance(layer, Maximum) else "minimum"
    call = "{0}"
    for number in range(1, len(shapes)):
        call = f"jnp.{name}({call}, {{{number}}})"
    return Part("", call)


@jax_part.register
def _(layer: Attention, shapes: Sequence[Shape], functions: str) -> Part | None:
    return attention_part(layer, len(shapes), f"{functions}.softmax({{}})")


@jax_part.register
def _(layer: Dot, shapes: Sequence[Shape], functions: str) -> Part | None:
    return dot_part(layer, shapes, "jnp.einsum")
