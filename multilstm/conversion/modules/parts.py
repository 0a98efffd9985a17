"""One layer without a state as source, and the layers whose source is the same in every framework.

Tensors are `[batch, timesteps, features]`, as in Keras.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from multilstm.spec import Add, Attention, Average, Cropping1D, Dot, GetItem, Layer, Multiply, Rescaling, Subtract
from multilstm.spec.keys import key_text
from multilstm.spec.shapes import Shape

__all__ = ["Part", "arithmetic", "attention_part", "dot_part"]


class Part(NamedTuple):
    """A layer without a state.

    Attributes:
        module: the constructor of its module; empty for a layer without one.
        call: the expression of its output, where `{m}` is the module and `{0}`, `{1}` are the inputs.
    """

    module: str
    call: str


@functools.singledispatch
def arithmetic(layer: Layer, inputs: int) -> Part | None:
    """Return a layer whose source is plain arithmetic of tensors; None for another layer.

    Args:
        layer: the layer.
        inputs: the number of its inputs.
    """
    return None


@arithmetic.register(Add)
@arithmetic.register(Subtract)
@arithmetic.register(Multiply)
def _(layer: Add | Subtract | Multiply, inputs: int) -> Part:
    sign = {Add: " + ", Subtract: " - ", Multiply: " * "}[type(layer)]
    return Part("", sign.join(f"{{{number}}}" for number in range(inputs)))


@arithmetic.register
def _(layer: Average, inputs: int) -> Part:
    return Part("", f"({' + '.join(f'{{{number}}}' for number in range(inputs))}) / {inputs}")


@arithmetic.register
def _(layer: Cropping1D, inputs: int) -> Part:
    before, after = layer.cropping
    return Part("", f"{{0}}[:, {before}:{-after if after else ''}]")


@arithmetic.register
def _(layer: GetItem, inputs: int) -> Part:
    return Part("", f"{{0}}{key_text(layer.key)}")


@arithmetic.register
def _(layer: Rescaling, inputs: int) -> Part | None:
    if isinstance(layer.scale, tuple) or isinstance(layer.offset, tuple):
        return None
    return Part("", f"{{0}} * {layer.scale}" + (f" + {layer.offset}" if layer.offset else ""))


def attention_part(layer: Attention, inputs: int, softmax: str) -> Part | None:
    """Return attention by plain products as source; None for one with weights, whose arrays no module has.

    Args:
        layer: the layer.
        inputs: the number of its inputs: query and value, or query, value and key.
        softmax: the expression of a softmax over the last axis, of a tensor in braces.
    """
    if layer.use_scale or layer.score_mode != "dot":
        return None
    return Part("", f"{softmax.format(f'{{0}} @ {{{inputs - 1}}}.mT')} @ {{1}}")


def dot_part(layer: Dot, shapes: Sequence[Shape], einsum: str) -> Part | None:
    """Return sums of products as source; None for normalized ones.

    Args:
        layer: the layer.
        shapes: of its inputs, the batch in front.
        einsum: the function in the source.
    """
    if layer.normalize:
        return None
    axis, other = layer.axes_of(*shapes)
    first = "bijk"[: len(shapes[0])]
    second = "b" + "lmn"[: len(shapes[1]) - 1]
    second = second.replace(second[other], first[axis])
    result = "b" + (first[1:] + second[1:]).replace(first[axis], "")
    call = f'{einsum}("{first},{second}->{result}", {{0}}, {{1}})'
    return Part("", call if len(result) > 1 else f"{call}[:, None]")
