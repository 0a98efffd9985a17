"""Weights as files hold them, and their assignment to the layers of a spec.

Legacy HDF5 names weights by layer, in lists of names. Keras 3 names them by class and occurrence. multilstm's own files
name them by `layer/weight`. Every array is checked against the shape that the spec gives it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from multilstm.errors import InputError, listed, shown
from multilstm.files.old_weights import as_keras_3
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.building import snake_case

__all__ = [
    "Assigned",
    "LayerLists",
    "NamedWeights",
    "Place",
    "Store",
    "Tree",
    "checked",
    "places_of",
    "weights_by_layer",
]

ROOTS = ("layers", "_layer_checkpoint_dependencies")
CHILDREN = ("cell", "layer", "forward_layer", "backward_layer")  # in the order of a layer's weights
RANDOM_STATE = "seed_generator"


class Place(NamedTuple):
    """A layer in the order of the file's configuration, with the class that wrote it, such as CuDNNLSTM."""

    name: str
    class_name: str


class Assigned(NamedTuple):
    """Weights by `layer/weight`, and notes on their assignment."""

    weights: dict[str, Array]
    notes: tuple[str, ...] = ()


class Store(Protocol):
    """The weights of one file."""

    def assign(self, spec: Graph, places: Sequence[Place]) -> Assigned:
        """Return the weights of a model; raise InputError where they do not fit it."""
        ...

    def described(self) -> str:
        """Return the content in words for a message."""
        ...


def places_of(spec: Graph) -> tuple[Place, ...]:
    """Return the layers of a spec in its order."""
    return tuple(Place(str(layer.name), type(layer).__name__) for layer in spec.layers)


@dataclasses.dataclass(frozen=True)
class LayerLists:
    """The weights of a legacy HDF5 file.

    Attributes:
        layers: for every layer its arrays by name, in the order of `weight_names`.
        backend: Keras's backend; None where the file does not state it.
    """

    layers: tuple[tuple[str, tuple[tuple[str, Array], ...]], ...]
    backend: str | None = None

    def assign(self, spec: Graph, places: Sequence[Place]) -> Assigned:
        """Return the weights by the names of the layers, or by their order if the names are others."""
        wanted = weights_by_layer(spec)
        order = [place.name for place in places if place.name in wanted]
        filled = {name: arrays for name, arrays in self.layers if arrays}
        notes: tuple[str, ...] = ()
        if set(filled) != set(wanted) and set(apart := _taken_apart(filled, wanted)) == set(wanted):
            filled = apart
        if set(filled) != set(wanted):
            if len(filled) != len(wanted):
                raise InputError(
                    f"the file holds weights of {len(filled)} layers ({listed(map(shown, filled))}), the model has "
                    f"{len(wanted)} layers with weights ({listed(map(shown, order))}); give the architecture that the "
                    f"weights belong to"
                )
            notes = (f"layer names differ, so weights were assigned in order: {listed(filled)} to {listed(order)}",)
            filled = dict(zip(order, filled.values(), strict=True))
        weights: dict[str, Array] = {}
        for name, names in wanted.items():
            arrays = [array for _, array in filled[name]]
            _check_order(spec.layer(name).label, names, [weight for weight, _ in filled[name]])
            converted, remark = as_keras_3(spec.layer(name), arrays, self.backend)
            weights |= checked(spec, name, names, converted)
            notes += (f"layer {shown(name)}: {remark}",) if remark else ()
        return Assigned(weights, notes)

    def described(self) -> str:
        """Return the layers with the shapes of their weights."""
        return _described({name: [array for _, array in arrays] for name, arrays in self.layers if arrays})


@dataclasses.dataclass(frozen=True)
class Tree:
    """The weights of a Keras 3 file by path, such as `layers/lstm/cell/vars/0`."""

    arrays: Mapping[str, Array]

    def assign(self, spec: Graph, places: Sequence[Place]) -> Assigned:
        """Return the weights by class and occurrence in the order of the configuration."""
        root = next((root for root in ROOTS if any(path.startswith(f"{root}/") for path in self.arrays)), ROOTS[0])
        wanted, groups, counts = weights_by_layer(spec), set(self._groups(root)), Counter[str]()
        weights: dict[str, Array] = {}
        notes: tuple[str, ...] = ()
        for place in places:
            base = snake_case(place.class_name)
            group = f"{base}_{counts[base]}" if counts[base] else base
            counts[base] += 1
            arrays = list(self._below(f"{root}/{group}"))
            groups.discard(group)
            if place.name not in wanted:
                if arrays:
                    raise InputError(
                        f"the file has {len(arrays)} weights at {root}/{group}, but layer {shown(place.name)} of the "
                        f"model takes none; give the architecture that the weights belong to"
                    )
                continue
            converted, remark = as_keras_3(spec.layer(place.name), arrays)
            weights |= checked(spec, place.name, wanted.pop(place.name), converted, f" (read from {root}/{group})")
            notes += (f"layer {shown(place.name)}: {remark}",) if remark else ()
        left = sorted(group for group in groups if any(True for _ in self._below(f"{root}/{group}")))
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
        return _described(groups)

    def _groups(self, root: str) -> Iterator[str]:
        return (path.split("/")[1] for path in self.arrays if path.startswith(f"{root}/"))

    def _below(self, group: str) -> Iterator[Array]:
        """Yield the arrays of a layer: its own by number, then those of its parts."""
        inside = [path.removeprefix(f"{group}/").split("/") for path in self.arrays if path.startswith(f"{group}/")]
        own = [parts[1] for parts in inside if parts[0] == "vars" and len(parts) == 2]
        if not all(number.isdecimal() for number in own):
            raise InputError(f"{group}/vars: expected numbers, given {listed(map(shown, own))}")
        for number in sorted(own, key=int):
            yield self.arrays[f"{group}/vars/{number}"]
        children = dict.fromkeys(parts[0] for parts in inside if parts[0] != "vars")
        for child in sorted(children, key=lambda name: CHILDREN.index(name) if name in CHILDREN else -1):
            if child == RANDOM_STATE:
                continue
            if child not in CHILDREN:
                raise InputError(f"{group}: it has the part {shown(child)}; expected one of {listed(CHILDREN)}")
            yield from self._below(f"{group}/{child}")


@dataclasses.dataclass(frozen=True)
class NamedWeights:
    """Weights by `layer/weight`, as `multilstm.save_weights` writes them."""

    arrays: Mapping[str, Array]

    def assign(self, spec: Graph, places: Sequence[Place]) -> Assigned:
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
        return _described({name: [array] for name, array in self.arrays.items()})


def _taken_apart(
    groups: Mapping[str, tuple[tuple[str, Array], ...]], wanted: Mapping[str, list[str]]
) -> dict[str, tuple[tuple[str, Array], ...]]:
    """Return the weights of models inside the model by the layer with whose name each weight begins."""
    layers: dict[str, list[tuple[str, Array]]] = {}
    for group, arrays in groups.items():
        for name, array in arrays:
            layers.setdefault(group if group in wanted else name.split("/")[0], []).append((name, array))
    return {name: tuple(arrays) for name, arrays in layers.items()}


def weights_by_layer(spec: Graph) -> dict[str, list[str]]:
    """Return the names of the weights of every layer that has some, in Keras's order."""
    names: dict[str, list[str]] = {}
    for weight in spec.weight_shapes:
        layer, _, name = weight.partition("/")
        names.setdefault(layer, []).append(name)
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


def _check_order(label: str, names: Sequence[str], given: Sequence[str]) -> None:
    """Raise InputError where the names of a file contradict the order in which its weights are assigned.

    A kernel and a recurrent kernel may have one shape. Names of other programs and of Keras 0 and 1 state no order.
    """
    expected = [name.split("/")[-1] for name in names]
    kinds = [name.split("/")[-1].partition(":")[0] for name in given]
    if len(kinds) == len(expected) and any(k in expected and k != e for k, e in zip(kinds, expected, strict=True)):
        raise InputError(
            f"{label}: the file holds its weights in the order {listed(map(shown, given))}; expected {listed(names)}; "
            f"write the file again with its Keras"
        )


def _described(groups: Mapping[str, Sequence[Array]]) -> str:
    shapes = (f"{name} {' '.join(str(list(array.shape)) for array in arrays)}" for name, arrays in groups.items())
    return listed(shapes) or "no weights"
