"""One call of a layer as nodes of ONNX: layers that act on each position, move numbers, or merge tensors.

`write` is registered for each class. The other layers are in `windows.py`, `attention.py` and `recurrent.py`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from multilstm.conversion.onnx.activations import activated, elu, leaky
from multilstm.conversion.onnx.nodes import LAST, Scope, Value
from multilstm.conversion.target import refusal
from multilstm.spec import (
    ELU,
    Activation,
    Add,
    Average,
    Concatenate,
    Cropping1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GetItem,
    Layer,
    LeakyReLU,
    Masking,
    Maximum,
    Minimum,
    Multiply,
    Permute,
    ReLU,
    RepeatVector,
    Reshape,
    Softmax,
    SpatialDropout1D,
    Subtract,
    TimeDistributed,
    UpSampling1D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from multilstm.spec.arrays import Array
from multilstm.spec.keys import Slice
from multilstm.spec.optimizers import EPSILON
from multilstm.spec.shapes import show

__all__ = ["Given", "refused", "write"]

refused = functools.partial(refusal, "onnx")


@dataclasses.dataclass(frozen=True)
class Given:
    """Arguments of one call of a layer.

    Attributes:
        scope: the nodes of the layer.
        inputs: its input tensors; of floats, but for the tokens of an Embedding.
        masks: the mask `[batch, timesteps]` of each input, or None.
        weights: its weights by name, in Keras's layout.
    """

    scope: Scope
    inputs: list[Value]
    masks: list[Value | None]
    weights: Mapping[str, Array]

    @property
    def x(self) -> Value:
        """The first input."""
        return self.inputs[0]


@functools.singledispatch
def write(layer: Layer, given: Given) -> str:
    """Add the nodes of one call of a layer, and return its output.

    Raises:
        UnsupportedError: for a layer, or an option, that ONNX does not express.
    """
    raise refused(layer, "its class", "no nodes of ONNX are its counterpart")


@write.register
def _(layer: Dense, given: Given) -> str:
    scope = given.scope
    product = scope("MatMul", given.x, scope.weight("kernel", given.weights["kernel"]), name=scope.layer)
    if layer.use_bias:
        product = scope("Add", product, scope.weight("bias", given.weights["bias"]))
    return activated(scope, layer.activation, product)


@write.register
def _(layer: Embedding, given: Given) -> str:
    scope = given.scope
    return scope("Gather", scope.weight("embeddings", given.weights["embeddings"]), given.x, name=scope.layer)


@write.register
def _(layer: Masking, given: Given) -> str:
    scope, keep = given.scope, layer.output_mask(given.inputs, given.masks)
    return scope("Where", scope.expanded(keep, 2), given.x, scope.number(0.0))


@write.register(Dropout)
@write.register(SpatialDropout1D)
def _(layer: Dropout | SpatialDropout1D, given: Given) -> str:
    return str(given.x)


@write.register
def _(layer: Activation, given: Given) -> str:
    return activated(given.scope, layer.activation, given.x)


@write.register
def _(layer: LeakyReLU, given: Given) -> str:
    return leaky(given.scope, given.x, layer.negative_slope)


@write.register
def _(layer: ELU, given: Given) -> str:
    return elu(given.scope, given.x, layer.alpha)


@write.register
def _(layer: Softmax, given: Given) -> str:
    return given.scope("Softmax", given.x, axis=layer.axis)


@write.register
def _(layer: ReLU, given: Given) -> str:
    scope, x = given.scope, given.x
    if not layer.threshold and layer.max_value is None:
        return leaky(scope, x, layer.negative_slope) if layer.negative_slope else scope("Relu", x)
    above = str(x) if layer.max_value is None else scope("Min", x, scope.number(layer.max_value))
    threshold = scope.number(layer.threshold)
    below = scope("Mul", scope("Sub", x, threshold), scope.number(layer.negative_slope))
    return scope("Where", scope("Greater", x, threshold), above, below)


@write.register
def _(layer: TimeDistributed, given: Given) -> str:
    """Join batch and timesteps for the inner layer, unless it acts on each position by itself."""
    scope, x = given.scope, given.x
    inner = dataclasses.replace(layer.layer, name=layer.name)
    if isinstance(inner, Dense | Activation | Dropout | SpatialDropout1D | ReLU | LeakyReLU | ELU):
        return write(inner, given)
    sizes = x.shape[2:]
    joined = scope(
        "Reshape",
        x,
        scope.integers(-1, *(size for size in sizes if size is not None))
        if None not in sizes
        else scope("Concat", scope.integers(-1), scope.shape(x, 2), axis=0),
    )
    value = Value(scope, joined, (None, *sizes))
    output = write(inner, dataclasses.replace(given, inputs=[value], masks=[None]))
    return scope("Reshape", output, scope("Concat", scope.shape(x, 0, 2), scope.shape(output, 1), axis=0))


@write.register
def _(layer: Flatten, given: Given) -> str:
    return given.scope("Flatten", given.x, axis=1)


@write.register
def _(layer: Reshape, given: Given) -> str:
    return given.scope("Reshape", given.x, given.scope.integers(0, *(size or -1 for size in layer.target_shape)))


@write.register
def _(layer: Permute, given: Given) -> str:
    return given.scope.transposed(given.x, 0, *layer.dims)


@write.register
def _(layer: RepeatVector, given: Given) -> str:
    scope = given.scope
    return scope("Expand", scope.expanded(given.x, 1), scope.integers(1, layer.n, 1))


@write.register
def _(layer: ZeroPadding1D, given: Given) -> str:
    before, after = layer.padding
    return given.scope("Pad", given.x, given.scope.integers(0, before, 0, 0, after, 0))


@write.register
def _(layer: ZeroPadding2D, given: Given) -> str:
    (above, below), (left, right) = layer.padding
    return given.scope("Pad", given.x, given.scope.integers(0, above, left, 0, 0, below, right, 0))


@write.register
def _(layer: Cropping1D, given: Given) -> str:
    before, after = layer.cropping
    return given.scope.sliced(given.x, 1, before, -after if after else LAST)


@write.register
def _(layer: GetItem, given: Given) -> str:
    """Slice each axis, then remove those of an integer, then add those of None."""
    scope, part = given.scope, str(given.x)
    rest = given.x.ndim - sum(item is not None and item is not Ellipsis for item in layer.key)
    removed: list[int] = []
    added: list[int] = []
    axis = place = 0  # of the input, and of the output
    for item in layer.key:
        if item is None:
            added.append(place)
            place += 1
        elif isinstance(item, int):
            part = scope.sliced(part, axis, item, LAST if item == -1 else item + 1)
            removed.append(axis)
            axis += 1
        elif isinstance(item, Slice):
            if item != Slice():
                part = scope.sliced(
                    part, axis, item.start or 0, LAST if item.stop is None else item.stop, item.step or 1
                )
            axis, place = axis + 1, place + 1
        else:
            axis, place = axis + rest, place + rest
    part = scope.squeezed(part, *removed) if removed else part
    return scope.expanded(part, *added) if added else part


@write.register
def _(layer: UpSampling1D, given: Given) -> str:
    scope = given.scope
    repeated = scope("Expand", scope.expanded(given.x, 2), scope.integers(1, 1, layer.size, 1))
    return scope("Reshape", repeated, scope.integers(0, -1, int(given.x.shape[2] or 0)))


@write.register
def _(layer: Concatenate, given: Given) -> str:
    return given.scope("Concat", *given.inputs, axis=layer.axis)


@write.register(Add)
@write.register(Subtract)
def _(layer: Add | Subtract, given: Given) -> str:
    op = "Add" if isinstance(layer, Add) else "Sub"
    return functools.reduce(lambda total, x: given.scope(op, total, x), given.inputs[1:], str(given.x))


@write.register
def _(layer: Average, given: Given) -> str:
    scope = given.scope
    total = functools.reduce(lambda total, x: scope("Add", total, x), given.inputs[1:], str(given.x))
    return scope("Div", total, scope.number(float(len(given.inputs))))


@write.register
def _(layer: Multiply, given: Given) -> str:
    """Multiply all inputs, a masked timestep taken as 1; the product is 0 where every input is masked."""
    scope, masks = given.scope, given.masks
    factors = [
        str(x) if mask is None else scope("Where", scope.expanded(mask, 2), x, scope.number(1.0))
        for x, mask in zip(given.inputs, masks, strict=True)
    ]
    product = functools.reduce(lambda total, x: scope("Mul", total, x), factors)
    kept = layer.output_mask(given.inputs, masks)
    return product if kept is None else scope("Where", scope.expanded(kept, 2), product, scope.number(0.0))


@write.register(Maximum)
@write.register(Minimum)
def _(layer: Maximum | Minimum, given: Given) -> str:
    """Merge the inputs one by one; where exactly one of two is masked, the other is taken."""
    scope, op = given.scope, "Max" if isinstance(layer, Maximum) else "Min"
    output, keep = str(given.x), given.masks[0]
    for x, mask in zip(given.inputs[1:], given.masks[1:], strict=True):
        merged = scope(op, output, x)
        if mask is not None:
            merged = scope("Where", scope.expanded(mask, 2), merged, output)
        if keep is not None:
            other = str(x) if mask is None else scope("Where", scope.expanded(mask, 2), x, output)
            merged = scope("Where", scope.expanded(keep, 2), merged, other)
        keep = None if keep is None or mask is None else keep | mask
        output = merged
    return output


@write.register
def _(layer: Dot, given: Given) -> str:
    """Multiply `[batch, any, summed]` by `[batch, summed, any]`, into which the inputs are brought."""
    scope, (first, other) = given.scope, given.inputs
    axes = layer.axes_of(first.shape, other.shape)
    summed = first.shape[axes[0]]
    rests = [[axis for axis in range(1, x.ndim) if axis != place] for x, place in zip(given.inputs, axes, strict=True)]
    units = [_unit(layer, scope, x, axis) for x, axis in zip(given.inputs, axes, strict=True)]
    rows = scope.transposed(units[0], 0, *rests[0], axes[0])
    columns = scope.transposed(units[1], 0, axes[1], *rests[1])
    ((_, *sizes),) = layer.output_shapes(first.shape, other.shape)
    if first.ndim == other.ndim == 3:
        return scope("MatMul", rows, columns)
    if summed is None or sum(size is None for size in sizes) > 1:
        raise refused(layer, f"open sizes of {show(first.shape)} and {show(other.shape)}", "a Reshape needs the sizes")
    rows = scope("Reshape", rows, scope.integers(0, -1, summed))
    columns = scope("Reshape", columns, scope.integers(0, summed, -1))
    return scope("Reshape", scope("MatMul", rows, columns), scope.integers(0, *(size or -1 for size in sizes)))


def _unit(layer: Dot, scope: Scope, x: Any, axis: int) -> str:
    """Return a tensor, divided by its length along an axis if the layer normalizes."""
    if not layer.normalize:
        return str(x)
    length = scope("Sqrt", scope.reduced("ReduceSum", scope("Mul", x, x), axis, keepdims=True))
    return scope("Div", x, scope("Max", length, scope.number(EPSILON)))
