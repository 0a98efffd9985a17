"""Values of an ONNX graph as parts of a spec's tensors, with the meaning of each axis.

The axes: `b` batch, `t` timesteps, `f` features, `d` several directions or layers, `1` an axis of size 1. With an axis
`d`, a view has one part for each place along it. Without, its parts are joined along the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.onnx.recurrent import Output
from multilstm.files.parsers.onnx_graph import Node
from multilstm.spec import Tensor
from multilstm.spec.arrays import Array

__all__ = ["FLOATS", "Part", "SwappedAxesError", "View", "moved", "selection"]

Part: TypeAlias = Tensor | Output
Constants = Mapping[str, Array]
SLICE = {"starts": None, "ends": None, "axes": 0, "steps": 1}  # arguments of Slice, and their defaults for one axis
TO_THE_END = np.iinfo(np.int64).max
FLOATS = (1, 10, 11, 16, "FLOAT", "FLOAT16", "DOUBLE")  # of TensorProto.DataType; text before version 6
KEEPS_TOKENS = (1, 6, 7, 11, "FLOAT", "INT32", "INT64", "DOUBLE")


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
        _check_unchanged(node, view, constants, opset)
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
    if not start and stop in (view.size(view.axes[place]), TO_THE_END):
        return view
    if (stop - start == 1 and stop) or (start, stop) == (-1, TO_THE_END):  # -1 to 0 is empty
        return _selected(node, view, place, start)
    raise InputError(f"{node.label}: it takes {start} to {stop} of the {shown(view.axes[place])} axis; no layer does")


def _check_unchanged(node: Node, view: View, constants: Constants, opset: int) -> None:
    """Raise InputError for a Dropout that drops numbers, and for a Cast that changes them."""
    if node.op == "Dropout":
        mode = constants.get(node.input(2))
        is_given = bool(node.input(2)) and (mode is None or bool(mode.any()))
        if is_given or (opset < 7 and not node.attributes.get("is_test")):
            raise InputError(f"{node.label}: it drops numbers at random; export the model in inference mode")
    known = FLOATS if "f" in view.axes else KEEPS_TOKENS
    kind = node.attributes.get("to")
    if node.op == "Cast" and not (isinstance(kind, int | str) and kind in known):
        raise InputError(f"{node.label}: it casts to the data type {shown(kind)}, which changes numbers; no layer does")


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
    if places is None:
        places = [place for place, axis in enumerate(view.axes) if view.size(axis) == 1]
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
    if node.op == "Gather":
        index: Any = constants.get(node.input(1))
        (first,) = _single(node, index)
        place = _place(int(node.attributes.get("axis", 0)), len(view.axes), node)
        return place, first, None if not np.shape(index) else (first + 1 or TO_THE_END)
    inputs = [node.input(number) for number in range(1, 5)]  # attributes before version 10
    start, stop, axis, step = _single(
        node,
        *(
            constants.get(name) if name else node.attributes.get(key, default)
            for name, (key, default) in zip(inputs, SLICE.items(), strict=True)
        ),
    )
    if step != 1:
        raise InputError(f"{node.label}: it selects with the step {step}; expected 1")
    return _place(axis, len(view.axes), node), start, stop


def _single(node: Node, *arrays: Any) -> list[int]:
    """Return the number in each array; raise InputError for one that is computed, or holds several numbers."""
    if any(np.size(array) != 1 or np.asarray(array).dtype.kind not in "iu" for array in arrays):
        raise InputError(
            f"{node.label}: it selects by a computed index, by several, or from several axes; expected one range of "
            f"one axis, constant"
        )
    return [int(np.ravel(array)[0]) for array in arrays]


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
