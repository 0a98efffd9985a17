"""Tensors in Keras 3's JSON of a functional model: the outputs of calls, named by their `keras_history`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from multilstm.spec.json_values import as_dict, ends_in_order, refuse

__all__ = ["History", "Node", "as_history", "ends", "histories", "history_of", "is_tensor", "names_in", "tensors_of"]

Node = tuple[str, int]  # call number n of the layer of that name
History = tuple[Node, int]  # and output number k of it


def history_of(item: Any, where: str) -> History:
    """Return the place of a tensor in Keras 3's JSON."""
    if not is_tensor(item):
        refuse(where, item, "a __keras_tensor__")
    return as_history(as_dict(item.get("config"), where).get("keras_history"), where)


def as_history(value: Any, where: str) -> History:
    """Return the place of a tensor: a list of a layer, the number of its call, and that of the output."""
    kinds = [type(item) for item in value] if isinstance(value, (list, tuple)) else []
    if kinds != [str, int, int]:
        refuse(where, value, 'a layer, a call and an output such as ["lstm", 0, 0]')
    return (value[0], value[1]), value[2]


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of the layers and operations whose results are in the arguments of a call."""
    for tensor in tensors_of(value):
        config = tensor.get("config")
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        if isinstance(history, (list, tuple)) and history and isinstance(history[0], str):
            yield history[0]


def tensors_of(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the tensors in the arguments of a call."""
    if isinstance(value, Mapping):
        if is_tensor(value):
            yield value
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_of(item)


def is_tensor(value: Any) -> bool:
    """Whether a value of Keras's JSON is a tensor."""
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def histories(value: Any, where: str) -> list[History]:
    """Return the places of a tensor, or of a list of them."""
    return [history_of(item, where) for item in (value if isinstance(value, (list, tuple)) else [value])]


def ends(value: Any, where: str) -> list[History]:
    """Return the tensors of `input_layers` or `output_layers`: one `["name", 0, 0]`, a list or an object of them."""
    value = ends_in_order(value)
    if not isinstance(value, (list, tuple)) or not value:
        refuse(where, value, 'a list such as [["input_layer", 0, 0]]')
    return [as_history(item, where) for item in ([value] if isinstance(value[0], str) else value)]
