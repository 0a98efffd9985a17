"""Weights as files hold them, and their assignment to the layers of a spec.

Legacy HDF5 names weights by layer, in lists of names: see `layer_lists.py`. Keras 3 names them by class and occurrence.
multilstm's own files name them by `layer/weight`. Every array is checked against the shape that the spec gives it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple, Protocol

from multilstm.errors import InputError, listed, shown
from multilstm.files.old_weights import as_keras_3
from multilstm.spec import Graph, Layer
from multilstm.spec.arrays import Array
from multilstm.spec.building import snake_case
from multilstm.spec.dialects import Part
from multilstm.spec.layers import InnerModel

__all__ = [
    "Assigned",
    "NamedWeights",
    "Store",
    "Tree",
    "checked",
    "described",
    "leaves",
    "parts_of",
    "weights_by_layer",
]

ROOTS = ("layers", "_layer_checkpoint_dependencies")
CHILDREN = (  # in the order of a layer's weights
    *("cell", "layer", "forward_layer", "backward_layer"),
    *("query_dense", "key_dense", "value_dense", "output_dense"),  # attention of several heads
)
RANDOM_STATE = "seed_generator"
NO_WEIGHTS = {"optimizer", "metrics", RANDOM_STATE}  # folders in a model, or in a model inside, that change no answer


class Assigned(NamedTuple):
    """Weights by `layer/weight`, and notes on their assignment."""

    weights: dict[str, Array]
    notes: tuple[str, ...] = ()


class Store(Protocol):
    """The weights of one file."""

    def assign(self, spec: Graph, parts: Sequence[Part]) -> Assigned:
        """Return the weights of a model, whose file has `parts`; raise InputError where they do not fit it."""
        ...

    def described(self) -> str:
        """Return the content in words for a message."""
        ...


def parts_of(spec: Graph) -> tuple[Part, ...]:
    """Return the layers of a spec in its order, those of models inside layers included."""
    return tuple(_part(layer, str(layer.name)) for layer in spec.layers)


def _part(layer: Layer, name: str) -> Part:
    if layer.inner_model is None:
        return Part(name, type(layer).__name__)
    if isinstance(layer, InnerModel):
        inside = tuple(part.within(name) for part in parts_of(layer.model))
        return Part(layer.model.name, "Sequential" if layer.model.sequential else "Functional", inside)
    assert layer.wrapped is not None
    return Part(name, type(layer).__name__, (_part(layer.wrapped, name),))


def leaves(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the layers, those of models inside included."""
    for part in parts:
        yield from leaves(part.parts) if part.parts else (part,)


@dataclasses.dataclass(frozen=True)
class Tree:
    """The weights of a Keras 3 file by path, such as `layers/lstm/cell/vars/0`."""

    arrays: Mapping[str, Array]

    def assign(self, spec: Graph, parts: Sequence[Part]) -> Assigned:
        """Return the weights by class and occurrence in the order of the configuration."""
        root = next((root for root in ROOTS if any(path.startswith(f"{root}/") for path in self.arrays)), ROOTS[0])
        wanted, read = weights_by_layer(spec), set[str]()
        weights: dict[str, Array] = {}
        notes: tuple[str, ...] = ()
        for name, group in _groups(parts, root, root):
            read.add(group)
            arrays = list(self._below(group))
            if name not in wanted:
                if arrays:
                    raise InputError(
                        f"the file has {len(arrays)} weights at {group}, but layer {shown(name)} of the "
                        f"model takes none; give the architecture that the weights belong to"
                    )
                continue
            converted, remark = as_keras_3(spec.layer(name), arrays)
            weights |= checked(spec, name, wanted.pop(name), converted, f" (read from {group})")
            notes += (f"layer {shown(name)}: {remark}",) if remark else ()
        left = sorted(set(self._unread(root, read)))
        if left or wanted:
            raise InputError(
                f"the weights do not fit the model; in the file but not in the model: {listed(left) or 'none'}; in the "
                f"model but not in the file: {listed(map(shown, wanted)) or 'none'}; give the architecture that the "
                f"weights belong to"
            )
        return Assigned(weights, notes)

    def described(self) -> str:
        """Return the groups with the shapes of their weights."""
        groups: dict[str, list[Array]] = {}
        for path, array in self.arrays.items():
            if RANDOM_STATE not in path.split("/"):
                groups.setdefault(path.split("/vars/")[0], []).append(array)
        return described(groups)

    def _unread(self, root: str, read: Set[str]) -> Iterator[str]:
        """Yield the outermost folders of weights that lie in no group that was read."""
        ways = {"/".join(group.split("/")[:count]) for group in read for count in range(1, group.count("/") + 1)}
        for path in self.arrays:
            steps = path.split("/")
            above = ["/".join(steps[:count]) for count in range(1, len(steps))]
            if NO_WEIGHTS.isdisjoint(steps) and read.isdisjoint(above):
                outermost = next((group for group in above if group not in (root, *ways)), path)
                yield outermost.removeprefix(f"{root}/")

    def _below(self, group: str) -> Iterator[Array]:
        """Yield the arrays of a layer: its own by number, then those of its parts."""
        inside = [path.removeprefix(f"{group}/").split("/") for path in self.arrays if path.startswith(f"{group}/")]
        own = [parts[1] for parts in inside if parts[0] == "vars" and len(parts) == 2]
        if not all(number.isdecimal() for number in own):
            raise InputError(f"{group}/vars: expected numbers, given {listed(map(shown, own))}")
        for number in sorted(own, key=int):
            yield self.arrays[f"{group}/vars/{number}"]
        children = dict.fromkeys(parts[0] for parts in inside if parts[0] != "vars" and RANDOM_STATE not in parts)
        names = {child.lstrip("_"): child for child in children}
        for name, child in sorted(
            names.items(), key=lambda pair: CHILDREN.index(pair[0]) if pair[0] in CHILDREN else -1
        ):
            if name not in CHILDREN:
                raise InputError(f"{group}: it has the part {shown(child)}; expected one of {listed(CHILDREN)}")
            yield from self._below(f"{group}/{child}")


@dataclasses.dataclass(frozen=True)
class NamedWeights:
    """Weights by `layer/weight`, as `multilstm.save_weights` writes them."""

    arrays: Mapping[str, Array]

    def assign(self, spec: Graph, parts: Sequence[Part]) -> Assigned:
        """Return the weights of the names of the model."""
        missing, unknown = set(spec.weight_shapes) - set(self.arrays), set(self.arrays) - set(spec.weight_shapes)
        if missing or unknown:
            raise InputError(
                f"the weights do not fit the model; missing: {listed(map(repr, sorted(missing))) or 'none'}; unknown: "
                f"{listed(map(repr, sorted(unknown))) or 'none'}"
            )
        weights: dict[str, Array] = {}
        for name, names in weights_by_layer(spec).items():
            weights |= checked(spec, name, names, [self.arrays[f"{name}/{weight}"] for weight in names])
        return Assigned(weights)

    def described(self) -> str:
        """Return the names with the shapes of their weights."""
        return described({name: [array] for name, array in self.arrays.items()})


def _groups(parts: Sequence[Part], folder: str, root: str) -> Iterator[tuple[str, str]]:
    """Yield every layer with the group of its weights; a model inside has its own `root` folder in its group."""
    counts = Counter[str]()
    for part in parts:
        base = snake_case(part.class_name)
        group = f"{folder}/{base}_{counts[base]}" if counts[base] else f"{folder}/{base}"
        counts[base] += 1
        while part.class_name == "TimeDistributed" and part.parts:
            (part,), group = part.parts, f"{group}/layer"
        if part.parts:
            inside = "cell/cells" if part.class_name == "RNN" else root
            yield from _groups(part.parts, f"{group}/{inside}", root)
        else:
            yield part.name, group


def weights_by_layer(spec: Graph) -> dict[str, list[str]]:
    """Return the names of the weights of every layer that has some, in Keras's order.

    The layers of a model inside of a layer `document` have paths such as `document/lstm`.
    """
    paths = {leaf.name for leaf in leaves(parts_of(spec))}
    names: dict[str, list[str]] = {}
    for weight in spec.weight_shapes:
        path = next(path for path in itertools.accumulate(weight.split("/"), "{}/{}".format) if path in paths)
        names.setdefault(path, []).append(weight.removeprefix(f"{path}/"))
    return names


def checked(
    spec: Graph, layer: str, names: Sequence[str], arrays: Sequence[Array], where: str = ""
) -> dict[str, Array]:
    """Return the arrays of a layer by `layer/weight`; raise InputError for another number, shape or dtype."""
    label = spec.layer(layer).label
    expected = {name: spec.weight_shapes[f"{layer}/{name}"] for name in names}
    if len(arrays) != len(names):
        raise InputError(
            f"{label}{where}: given {len(arrays)} weights of the shapes {listed(array.shape for array in arrays)}; "
            f"expected {len(names)}: {listed(f'{name} {shape}' for name, shape in expected.items())}"
        )
    weights = {}
    for (name, shape), array in zip(expected.items(), arrays, strict=True):
        if array.shape != shape:
            raise InputError(f"{label}{where}: {name} has the shape {array.shape}, expected {shape}")
        if array.dtype.kind != "f":
            raise InputError(f"{label}{where}: {name} has the dtype {array.dtype}, expected float32 or float64")
        weights[f"{layer}/{name}"] = array
    return weights


def described(groups: Mapping[str, Sequence[Array]]) -> str:
    """Return groups of weights with their shapes."""
    shapes = (f"{name} {' '.join(str(list(array.shape)) for array in arrays)}" for name, arrays in groups.items())
    return listed(shapes) or "no weights"
