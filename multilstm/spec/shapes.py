"""Shapes and parameter counts from the spec alone: outputs, weights and states of every layer, with the formula.

`None` is a dimension that may vary. One function a question, dispatched on the layer's class.
"""

from __future__ import annotations

import math
from functools import singledispatch

from multilstm.errors import SpecError
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    InputLayer,
    Masking,
    RepeatVector,
    TimeDistributed,
)

Shape = tuple[int | None, ...]


def show(shape: Shape) -> str:
    """A shape as text, `any` for None: `(any, any, 5)`."""
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"


def _rank(layer: Layer, shape: Shape, rank: int, meaning: str) -> None:
    if len(shape) != rank:
        raise SpecError(f"{describe(layer)}: expected an input {meaning}, given shape {show(shape)}")


def _features(layer: Layer, shape: Shape) -> int:
    if len(shape) < 2:
        raise SpecError(f"{describe(layer)}: expected an input [batch, ..., features], given shape {show(shape)}")
    if shape[-1] is None:
        raise SpecError(
            f"{describe(layer)}: the last dimension (features) decides the shape of the weights and may not vary; "
            f"given shape {show(shape)}; give Input a number there"
        )
    return shape[-1]


def describe(layer: Layer) -> str:
    """Names a layer in an error: `LSTM 'lstm_1'`."""
    return type(layer).__name__ + (f" {layer.name!r}" if layer.name else "")


@singledispatch
def output_shapes(layer: Layer, *inputs: Shape) -> tuple[Shape, ...]:
    """The shapes of the tensors that a call of `layer` returns, the batch included.

    Args:
        layer: any layer of `multilstm.spec`.
        *inputs: the shapes of its inputs.

    Raises:
        SpecError: for a rank or a size that the layer cannot take.
    """
    raise NotImplementedError(type(layer))


@output_shapes.register
def _(layer: InputLayer) -> tuple[Shape, ...]:
    return ((layer.batch_size, *layer.shape),)


@output_shapes.register
def _(layer: Embedding, inputs: Shape) -> tuple[Shape, ...]:
    _rank(layer, inputs, 2, "[batch, timesteps] of tokens")
    return ((*inputs, layer.output_dim),)


@output_shapes.register
def _(layer: LSTM, inputs: Shape) -> tuple[Shape, ...]:
    _rank(layer, inputs, 3, "[batch, timesteps, features] (a layer below it needs return_sequences=True)")
    batch, timesteps, _ = inputs
    _features(layer, inputs)
    if layer.stateful and batch is None:
        raise SpecError(
            f"{describe(layer)}: stateful=True carries one state for each sequence of the batch, so that the batch "
            f"size must be fixed; give Input(batch_size=...) or Sequential(..., batch_size=...)"
        )
    if layer.unroll and timesteps is None:
        raise SpecError(f"{describe(layer)}: unroll=True needs a fixed number of timesteps; given {show(inputs)}")
    state = (batch, layer.units)
    output = (batch, timesteps, layer.units) if layer.return_sequences else state
    return (output, state, state) if layer.return_state else (output,)


@output_shapes.register
def _(layer: Bidirectional, inputs: Shape) -> tuple[Shape, ...]:
    output, *states = output_shapes(layer.layer, inputs)
    if layer.merge_mode == "concat":
        outputs = [(*output[:-1], 2 * layer.layer.units)]
    else:
        outputs = [output] * (2 if layer.merge_mode is None else 1)
    return (*outputs, *states, *states)


@output_shapes.register
def _(layer: Dense, inputs: Shape) -> tuple[Shape, ...]:
    _features(layer, inputs)
    return ((*inputs[:-1], layer.units),)


@output_shapes.register
def _(layer: TimeDistributed, inputs: Shape) -> tuple[Shape, ...]:
    _rank(layer, inputs, 3, "[batch, timesteps, features]")
    return output_shapes(layer.layer, inputs)


@output_shapes.register(Masking)
@output_shapes.register(Dropout)
@output_shapes.register(Activation)
def _(layer: Layer, inputs: Shape) -> tuple[Shape, ...]:
    if isinstance(layer, Masking):
        _rank(layer, inputs, 3, "[batch, timesteps, features]")
    return (inputs,)


@output_shapes.register
def _(layer: RepeatVector, inputs: Shape) -> tuple[Shape, ...]:
    _rank(layer, inputs, 2, "[batch, features]")
    return ((inputs[0], layer.n, inputs[1]),)


@output_shapes.register
def _(layer: Concatenate, *inputs: Shape) -> tuple[Shape, ...]:
    if len(inputs) < 2:
        raise SpecError(f"{describe(layer)}: expected at least two inputs, given {len(inputs)}")
    first = inputs[0]
    for other in inputs[1:]:
        fits = len(other) == len(first) and all(
            None in pair or pair[0] == pair[1] for pair in zip(other[:-1], first[:-1], strict=True)
        )
        if not fits:
            raise SpecError(f"{describe(layer)}: shapes differ before the last axis: {show(first)} and {show(other)}")
    return ((*first[:-1], sum(_features(layer, shape) for shape in inputs)),)


@singledispatch
def weight_shapes(layer: Layer, inputs: Shape) -> dict[str, tuple[int, ...]]:
    """The weights of `layer` in Keras's layout and order: name to shape, empty for a layer without weights."""
    return {}


@weight_shapes.register
def _(layer: Embedding, inputs: Shape) -> dict[str, tuple[int, ...]]:
    return {"embeddings": (layer.input_dim, layer.output_dim)}


@weight_shapes.register
def _(layer: LSTM, inputs: Shape) -> dict[str, tuple[int, ...]]:
    gates = 4 * layer.units
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (_features(layer, inputs), gates),
        "recurrent_kernel": (layer.units, gates),
    }
    return {**shapes, "bias": (gates,)} if layer.use_bias else shapes


@weight_shapes.register
def _(layer: Bidirectional, inputs: Shape) -> dict[str, tuple[int, ...]]:
    return {
        f"{direction}/{name}": shape
        for direction, lstm in layer.directions.items()
        for name, shape in weight_shapes(lstm, inputs).items()
    }


@weight_shapes.register
def _(layer: Dense, inputs: Shape) -> dict[str, tuple[int, ...]]:
    kernel: dict[str, tuple[int, ...]] = {"kernel": (_features(layer, inputs), layer.units)}
    return {**kernel, "bias": (layer.units,)} if layer.use_bias else kernel


@weight_shapes.register
def _(layer: TimeDistributed, inputs: Shape) -> dict[str, tuple[int, ...]]:
    return weight_shapes(layer.layer, inputs)


def owner(layer: Layer, weight: str) -> tuple[Layer, str]:
    """The layer that has the arguments of a weight of `layer`, and how they begin.

    Args:
        layer: any layer.
        weight: one of its weights, as in `weight_shapes`: `recurrent_kernel`, `forward/bias`.

    Returns:
        The wrapped layer of a wrapper, else `layer`; and `kernel`, `recurrent`, `bias` or `embeddings`.
    """
    direction, _, name = weight.rpartition("/")
    if isinstance(layer, Bidirectional):
        layer = layer.directions[direction]
    elif isinstance(layer, TimeDistributed):
        layer = layer.layer
    return layer, name.removesuffix("_kernel")


def parameter_count(layer: Layer, inputs: Shape) -> int:
    """How many numbers the weights of `layer` hold, those that are not trained included."""
    return sum(math.prod(shape) for shape in weight_shapes(layer, inputs).values())


@singledispatch
def formula(layer: Layer, inputs: Shape) -> str:
    """The parameter count of `layer` in words and in numbers; empty for a layer without weights."""
    return ""


@formula.register
def _(layer: Embedding, inputs: Shape) -> str:
    return f"input_dim*output_dim = {layer.input_dim}*{layer.output_dim}"


@formula.register
def _(layer: LSTM, inputs: Shape) -> str:
    features, units = _features(layer, inputs), layer.units
    words, figures = "features*units + units*units", f"{features}*{units} + {units}*{units}"
    if layer.use_bias:
        words, figures = f"{words} + units", f"{figures} + {units}"
    return f"4*({words}) = 4*({figures})"


@formula.register
def _(layer: Bidirectional, inputs: Shape) -> str:
    words, figures = formula(layer.layer, inputs).split(" = ")
    return f"2*{words} = 2*{figures}"


@formula.register
def _(layer: Dense, inputs: Shape) -> str:
    features, units = _features(layer, inputs), layer.units
    if layer.use_bias:
        return f"features*units + units = {features}*{units} + {units}"
    return f"features*units = {features}*{units}"


@formula.register
def _(layer: TimeDistributed, inputs: Shape) -> str:
    return formula(layer.layer, inputs)
