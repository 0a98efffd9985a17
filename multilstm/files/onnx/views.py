"""Values of an ONNX graph as parts of a spec's tensors, with the meaning of each axis.

The axes: `b` batch, `t` timesteps, `f` features, `d` several directions or layers, `1` an axis of size 1. With an axis
`d`, a view has one part for each place along it. Without, its parts are joined along the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.onnx.recurrent import Output
from multilstm.files.parsers.onnx_graph import Node
from multilstm.spec import Tensor
from multilstm.spec.arrays import Array

__all__ = ["Part", "SwappedAxesError", "View", "moved", "selection"]

Part: TypeAlias = Tensor | Output
Constants = Mapping[str, Array]


class SwappedAxesError(InputError):
    """An LSTM whose input has batch and timesteps in the other order."""


class View(NamedTuple):
    """One value.

    Attributes:
        parts: tensors, or outputs of recurrent layers.
        axes: the meaning of each axis.
        features: the size of `f`.
        timesteps: the size of `t`; None where it varies.
        batch: the size of `b` in the file; None where it varies.
    """

    parts: tuple[Part, ...]
    axes: tuple[str, ...]
    features: int
    timesteps: int | None = None
    batch: int | None = None

    @property
    def is_stack(self) -> bool:
        """Whether each part has a place of its own along an axis."""
        return "d" in self.axes or len(self.parts) == 1

    def size(self, axis: str) -> int | None:
        """Return the size of an axis; None where it varies."""
        return {"b": self.batch, "t": self.timesteps, "f": self.features, "d": len(self.parts), "1": 1}[axis]


def moved(node: Node, view: View, constants: Constants, opset: int) -> View:
    """Return a value behind a node that moves numbers.

    Raises:
        InputError: for a move that changes more than the order and the number of axes.
    """
    if node.op in ("Identity", "Dropout", "Cast"):
        return view
    if node.op == "Transpose":
        return _transposed(node, view)
    if node.op == "Reshape":
        return _reshaped(node, view, constants)
    if node.op in ("Squeeze", "Unsqueeze"):
        axes = node.attributes.get("axes", constants.get(node.input(1)))
        rank = len(view.axes) + (len(np.ravel(axes)) if node.op == "Unsqueeze" and axes is not None else 0)
        places = None if axes is None else sorted(_place(int(axis), rank, node) for axis in np.ravel(axes))
        return _squeezed(node, view, places) if node.op == "Squeeze" else _unsqueezed(node, view, places)
    place, start, stop = selection(node, view, constants)
    if stop is None:
        return _selected(node, view, place, start)._replace(axes=view.axes[:place] + view.axes[place + 1 :])
    if (start, stop) == (0, view.size(view.axes[place])):
        return view
    if stop - start == 1 or (start, stop) == (-1, np.iinfo(np.int64).max):
        return _selected(node, view, place, start)
    raise InputError(f"{node.label}: it takes {start} to {stop} of the {shown(view.axes[place])} axis; no layer does")


def _place(axis: int, rank: int, node: Node) -> int:
    place = axis + rank if axis < 0 else axis
    if not 0 <= place < rank:
        raise InputError(f"{node.label}: axis {axis} of {rank} axes does not exist; the file is broken")
    return place


def _transposed(node: Node, view: View) -> View:
    order = node.attributes.get("perm") or list(range(len(view.axes)))[::-1]
    if sorted(order) != list(range(len(view.axes))):
        raise InputError(f"{node.label}: perm is {shown(order)}, but its input has {len(view.axes)} axes")
    return view._replace(axes=tuple(view.axes[place] for place in order))


def _squeezed(node: Node, view: View, places: list[int] | None) -> View:
    places = [place for place, axis in enumerate(view.axes) if axis == "1"] if places is None else places
    wrong = [view.axes[place] for place in places if view.axes[place] != "1"]
    if wrong:
        raise InputError(f"{node.label}: it removes the axis {shown(wrong[0])}; expected an axis of size 1")
    return view._replace(axes=tuple(axis for place, axis in enumerate(view.axes) if place not in places))


def _unsqueezed(node: Node, view: View, places: list[int] | None) -> View:
    if not places:
        raise InputError(f"{node.label}: its axes are computed from an input; expected constants")
    axes = list(view.axes)
    for place in places:
        axes.insert(place, "1")
    return view._replace(axes=tuple(axes))


def selection(node: Node, view: View, constants: Constants) -> tuple[int, int, int | None]:
    """Return the axis that Gather or Slice selects from, the first place, and the end; None for a place alone."""
    names = node.inputs[1:] if node.op == "Gather" else node.inputs[1:5]
    arrays = [constants.get(name) for name in names if name]
    values = [np.ravel(array).tolist() for array in arrays if array is not None]
    if len(values) < len(arrays) or any(len(value) != 1 for value in values):
        raise InputError(f"{node.label}: it selects by a computed or long index; expected one constant place")
    if node.op == "Gather":
        place = _place(int(node.attributes.get("axis", 0)), len(view.axes), node)
        index = int(values[0][0])
        return place, index, None if arrays[0] is not None and arrays[0].ndim == 0 else index + 1
    if not values:  # Slice before version 10
        values = [node.attributes.get(key, []) for key in ("starts", "ends", "axes")]
    if len(values) < 3 or any(len(value) != 1 for value in values) or values[3:4] not in ([], [[1]]):
        raise InputError(f"{node.label}: it selects with steps or from several axes; expected one range of one axis")
    return _place(int(values[2][0]), len(view.axes), node), int(values[0][0]), int(values[1][0])


def _selected(node: Node, view: View, place: int, index: int) -> View:
    """Return one place of an axis, which stays with size 1."""
    axis = view.axes[place]
    axes = (*view.axes[:place], "1", *view.axes[place + 1 :])
    if axis == "1" and index in (0, -1):
        return view
    if axis == "d" and view.axes.count("d") == 1 and -len(view.parts) <= index < len(view.parts):
        return view._replace(parts=(view.parts[index],), axes=axes)
    part = view.parts[0]
    if axis == "t" and len(view.parts) == 1 and not isinstance(part, Tensor):
        layer, kind, direction = part
        last = {"forward": -1, "reverse": 0}.get(layer.recurrence.direction)
        if kind == "sequence" and index in (last, view.timesteps - 1 if view.timesteps and last else last):
            return view._replace(parts=(Output(layer, "hidden", direction),), axes=axes)
    raise InputError(
        f"{node.label}: it takes place {index} of the {shown(axis)} axis; no layer does, but for the last timestep of "
        f"an LSTM of one direction, or of a fixed number of timesteps; export the model with fixed timesteps"
    )


def _reshaped(node: Node, view: View, constants: Constants) -> View:
    """Return the view of a Reshape that joins directions and features, or changes axes of size 1."""
    shape = constants.get(node.input(1))
    if shape is None or node.attributes.get("allowzero"):
        raise InputError(f"{node.label}: its shape is computed from an input; expected a constant")
    sizes = [int(size) for size in np.ravel(shape)]
    for axes in _candidates(view.axes):
        features = view.features * (len(view.parts) if axes.count("d") < view.axes.count("d") else 1)
        result = view._replace(axes=axes, features=features)
        fitted = _fitted(sizes, result, view.axes)
        if fitted is not None:
            return result._replace(axes=fitted)
    raise InputError(
        f"{node.label}: it changes the axes {listed(view.axes)} to the sizes {sizes}; expected directions joined with "
        f"their features"
    )


def _candidates(axes: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the axes without those of size 1, and with the directions joined with the features."""
    plain = tuple(axis for axis in axes if axis != "1")
    yield plain
    if "d" in plain and plain[plain.index("d") + 1 :] == ("f",):
        yield (*plain[: plain.index("d")], "f")


def _fitted(sizes: list[int], view: View, before: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the axes of `view` with those of size 1 that the sizes of a Reshape add; None if they do not fit."""
    axes: list[str] = []
    left = list(view.axes)
    for place, size in enumerate(sizes):
        label = left[0] if left else None
        kept = size == 0 and place < len(before) and before[place] == label
        if label is not None and (kept or size == -1 or view.size(label) == size):
            axes.append(left.pop(0))
        elif size == 1:
            axes.append("1")
        else:
            return None
    return None if left else tuple(axes)
