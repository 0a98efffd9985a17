"""Models built as in Keras: `Model` from tensors, `Sequential` from a stack of layers."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from multilstm.errors import SpecError, shown
from multilstm.spec.graph import Call, Graph, Ref
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import GetItem, Input, InputLayer

__all__ = ["Model", "Sequential", "snake_case"]


def Model(  # noqa: N802 - Keras's name
    inputs: Tensor | Sequence[Tensor], outputs: Tensor | Sequence[Tensor], name: str = "model"
) -> Graph:
    """Return a functional model: everything between `inputs` and `outputs`.

    Args:
        inputs: one result of `Input`, or several.
        outputs: one result of a layer, or several.
        name: the model's name.

    Raises:
        SpecError: for shapes that do not fit, a repeated name, or an output that depends on an `Input` outside
            `inputs`.
    """
    return _graph(_tensors(inputs), _tensors(outputs), name, sequential=False)


def Sequential(  # noqa: N802 - Keras's name
    layers: Iterable[Layer | Tensor],
    input_shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    input_dtype: str = "float32",
    name: str = "sequential",
) -> Graph:
    """Return a stack of layers.

    Args:
        layers: the layers, from the first to the last; the first may be an `Input(...)` instead of `input_shape`.
        input_shape: the input's shape without the batch, for example `(None, 5)`: any length, 5 features.
        batch_size: the fixed batch size that a stateful layer needs.
        input_dtype: `"int32"` where the first layer is an Embedding.
        name: the model's name.

    Raises:
        SpecError: for shapes that do not fit, a missing input shape, or a GetItem.
    """
    stack: list[Any] = list(layers)
    if stack and isinstance(stack[0], (Tensor, InputLayer)):
        first = stack.pop(0)
        if input_shape is not None:
            raise SpecError("Sequential: the first layer is an Input, and input_shape was given too; give either")
        tensor = first(()) if isinstance(first, InputLayer) else first
    elif input_shape is None:
        raise SpecError("Sequential: input_shape is missing; expected for example input_shape=(None, 5)")
    else:
        tensor = Input(input_shape, batch_size, input_dtype)
    if not stack:
        raise SpecError("Sequential: it has no layers")
    source = tensor
    used: set[int] = set()
    for layer in stack:
        if not isinstance(layer, Layer) or isinstance(layer, InputLayer):
            raise SpecError(f"Sequential: expected layers of multilstm, given {shown(layer)}")
        if isinstance(layer, GetItem):
            raise SpecError(
                f"Sequential: {layer.label} is an operation of Keras, not a layer; use Model for such a graph"
            )
        if not isinstance(tensor, Tensor):
            raise SpecError("Sequential: a layer below the last returns several tensors; use Model for such a graph")
        if id(layer) in used:
            raise SpecError(
                f"Sequential: {layer.label} is in it twice, which would share its weights; make a "
                f"second layer, or use Model to share"
            )
        used.add(id(layer))
        tensor = layer(tensor)
    return _graph([source], _tensors(tensor), name, sequential=True)


def _tensors(value: Tensor | Sequence[Tensor]) -> list[Tensor]:
    tensors: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise SpecError(f"Model: expected results of Input() or of layers, given {shown(tensor)}")
    return tensors


def _graph(inputs: list[Tensor], outputs: list[Tensor], name: str, *, sequential: bool) -> Graph:
    order: list[Tensor] = []  # one tensor of every call, in topological order
    index: dict[int, int] = {}
    stack: list[tuple[Tensor, bool]] = [(tensor, False) for tensor in reversed([*inputs, *outputs])]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor.call) in index:
            continue
        if ready:
            index[id(tensor.call)] = len(order)
            order.append(tensor)
            continue
        stack.append((tensor, True))
        stack.extend((source, False) for source in reversed((*tensor.inputs, *tensor.initial_state)))
    known = {id(tensor.call) for tensor in inputs}
    for tensor in order:
        if isinstance(tensor.layer, InputLayer) and id(tensor.call) not in known:
            raise SpecError(
                f"model {shown(name)}: an output depends on an Input {shown(tensor.layer.name)} that is not in inputs; "
                f"add it"
            )
    if len(known) < len(inputs):
        raise SpecError(f"model {shown(name)}: an Input was given twice; expected every Input once")
    for tensor in inputs:
        if not isinstance(tensor.layer, InputLayer):
            raise SpecError(
                f"model {shown(name)}: inputs must be results of Input(), given a tensor of {tensor.layer.label}"
            )
    named = _names(order)

    def refs(tensors: Iterable[Tensor]) -> tuple[Ref, ...]:
        return tuple(Ref(index[id(tensor.call)], tensor.index) for tensor in tensors)

    # By identity: two layers of one name must both arrive, for Graph to refuse them.
    layers = {id(t.layer): dataclasses.replace(t.layer, name=named[id(t.layer)]) for t in order}
    calls = tuple(Call(named[id(t.layer)], refs(t.inputs), refs(t.initial_state)) for t in order)
    return Graph(
        name, tuple(layers.values()), calls, refs(outputs), sequential, tuple(named[id(t.layer)] for t in inputs)
    )


def snake_case(name: str) -> str:
    """Return the name that Keras makes from a class's (keras/src/utils/naming.py): `lstm`, `time_distributed`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _names(order: list[Tensor]) -> dict[int, str]:
    taken = {tensor.layer.name for tensor in order}
    named: dict[int, str] = {}
    numbers: Counter[str] = Counter()  # by base, the first that may be free
    for tensor in order:
        layer = tensor.layer
        if id(layer) in named:
            continue
        if layer.name is None:
            base = snake_case(type(layer).__name__)
            while (name := f"{base}_{numbers[base]}" if numbers[base] else base) in taken:
                numbers[base] += 1
            taken.add(name)
            named[id(layer)] = name
        else:
            named[id(layer)] = layer.name
    return named
