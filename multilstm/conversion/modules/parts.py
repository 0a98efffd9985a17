"""One layer without a state as source, and the layers whose source is the same in every framework.

Tensors are `[batch, timesteps, features]`, as in Keras.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from multilstm.spec import Add, Average, Cropping1D, GetItem, Layer, Multiply, Subtract
from multilstm.spec.keys import key_text

__all__ = ["Part", "arithmetic"]


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
