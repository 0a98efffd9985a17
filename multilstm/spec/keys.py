"""Keys that take a part of an array, such as `x[:, -1]`: checked, in Keras's JSON, as text, and the shape of the part.

A key holds one item for each axis, from the first on: an integer, which takes the axis away, or a slice. None adds an
axis of size 1, and `...` takes all axes that the other items leave. The batch is taken whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import EllipsisType
from typing import Annotated, Any

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import SIZE_LIMIT, Argument, ArgumentError, is_integer
from multilstm.spec.json_values import as_dict, as_scalar, refuse
from multilstm.spec.shapes import Shape, show
from multilstm.spec.sizes import RANK_LIMIT

__all__ = ["KEY", "Item", "Key", "Slice", "index_of", "key_text", "part_shape"]


@dataclasses.dataclass(frozen=True)
class Slice:
    """A `slice` of Python that can be hashed, with the same attributes."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


Item = int | Slice | EllipsisType | None
_ALL = Slice()
_BOUNDS = ("start", "stop", "step")


def index_of(key: tuple[Item, ...]) -> tuple[Any, ...]:
    """Return a key as arrays take it, with slices of Python."""
    return tuple(slice(item.start, item.stop, item.step) if isinstance(item, Slice) else item for item in key)


def _check(name: str, value: Any) -> tuple[Item, ...]:
    items = value if isinstance(value, tuple) else (value,)
    if not 0 < len(items) <= RANK_LIMIT:
        raise ArgumentError(f"{name} must have 1 to {RANK_LIMIT} items, got {len(items)}")
    if sum(item is Ellipsis for item in items) > 1:
        raise ArgumentError(f"{name} must have one '...' at most, got {shown(value)}")
    return tuple(_checked_item(name, item) for item in items)


def _checked_item(name: str, item: Any) -> Item:
    if item is None or item is Ellipsis:
        return item
    if is_integer(item) and abs(item) < SIZE_LIMIT:
        return int(item)
    if isinstance(item, (slice, Slice)):
        bounds = (item.start, item.stop, item.step)
        if all(bound is None or (is_integer(bound) and abs(bound) < SIZE_LIMIT) for bound in bounds):
            if item.step is not None and item.step < 1:
                raise ArgumentError(f"{name} must have steps of at least 1, got {shown(item)}; PyTorch has no others")
            return Slice(*(None if bound is None else int(bound) for bound in bounds))
    raise ArgumentError(f"{name} must be made of integers, slices of integers, None and '...', got {shown(item)}")


@dataclasses.dataclass(frozen=True)
class KeyArgument(Argument):
    """A key, which Keras's JSON holds as a list with an object for each slice and `...`."""

    def read(self, value: Any, where: str) -> tuple[Any, ...]:
        items = value if isinstance(value, (list, tuple)) else [value]
        if len(items) > RANK_LIMIT:
            refuse(where, f"{len(items)} items", f"at most {RANK_LIMIT}")
        return tuple(self._item(item, where) for item in items)

    def write(self, value: Any) -> Any:
        return [self._written(item) for item in value]

    @staticmethod
    def _item(item: Any, where: str) -> Any:
        if not isinstance(item, Mapping):
            return as_scalar(item, where)
        kind = item.get("class_name")
        if kind == "__ellipsis__":
            return Ellipsis
        if kind != "__slice__":
            refuse(where, kind, "integers, slices, null and '...'; a tensor as an index is not executed by multilstm")
        bounds = as_dict(item.get("config"), f"{where}: slice")
        return Slice(*(as_scalar(bounds.get(name), f"{where}: {name}") for name in _BOUNDS))

    @staticmethod
    def _written(item: Item) -> Any:
        if item is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        if not isinstance(item, Slice):
            return item
        return {"class_name": "__slice__", "config": {name: getattr(item, name) for name in _BOUNDS}}


KEY = KeyArgument(_check)
Key = Annotated[Any, KEY]


def part_shape(label: str, key: tuple[Item, ...], shape: Shape) -> Shape:
    """Return the shape of `x[key]`, by the rules of NumPy.

    Args:
        label: the layer, as `Layer.label`.
        key: the key.
        shape: the shape of `x`, the batch included.

    Raises:
        SpecError: for more items than axes, an index that the axis does not have, or a part without numbers.
    """
    taken = sum(item is not None and item is not Ellipsis for item in key)
    if taken > len(shape):
        raise SpecError(f"{label}: {key_text(key)} has {taken} items for the {len(shape)} axes of {show(shape)}")
    place = next((place for place, item in enumerate(key) if item is Ellipsis), len(key))
    items = (*key[:place], *[_ALL] * (len(shape) - taken), *key[place + 1 :])
    if items[0] != _ALL:
        raise SpecError(f"{label}: {key_text(key)} takes a part of the batch; expected ':' for the first axis")
    sizes: list[int | None] = []
    axes = iter(shape)
    for item in items:
        if item is None:
            sizes.append(1)
            continue
        size = next(axes)
        if isinstance(item, Slice):
            bounds = slice(item.start, item.stop, item.step)
            sizes.append(None if size is None else len(range(*bounds.indices(size))))
        elif size is not None and isinstance(item, int) and not -size <= item < size:
            raise SpecError(f"{label}: {key_text(key)} takes index {item} of an axis of {size} in {show(shape)}")
    if 0 in sizes:
        raise SpecError(f"{label}: {key_text(key)} of an input {show(shape)} is empty; take a part that is not")
    return tuple(sizes)


def key_text(key: tuple[Item, ...]) -> str:
    """Return a key as Python writes it behind a tensor: `[:, -1]`. Keras needs the comma behind a single item."""
    text = ", ".join(map(_item_text, key))
    return f"[{text},]" if len(key) == 1 else f"[{text}]"


def _item_text(item: Item) -> str:
    if item is Ellipsis:
        return "..."
    if not isinstance(item, Slice):
        return str(item)
    start, stop, step = ("" if bound is None else str(bound) for bound in (item.start, item.stop, item.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")
