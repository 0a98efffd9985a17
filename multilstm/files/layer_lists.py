"""The weights of legacy HDF5 files, which have a list of names for every layer, and their assignment to a spec.

A model inside the model is one layer of such a file. Its list has the trained weights of all of its layers first, then
the others (`Model.weights` of Keras 1 to 3). Keras 1 lists the layers of a Sequential inside a Sequential one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.errors import InputError, listed, shown
from multilstm.files.old_weights import as_keras_3, from_deviations, keras_1_count
from multilstm.files.stores import Assigned, checked, described, leaves, weights_by_layer
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.dialects import Part

__all__ = ["LayerLists"]

Named = tuple[str, Array]


@dataclasses.dataclass(frozen=True)
class LayerLists:
    """The weights of a legacy HDF5 file.

    Attributes:
        layers: for every layer its arrays by name, in the order of `weight_names`.
        backend: Keras's backend; None where the file does not state it.
        version: the version of Keras that computed the weights; None where it is unknown.
    """

    layers: tuple[tuple[str, tuple[Named, ...]], ...]
    backend: str | None = None
    version: str | None = None

    def assign(self, spec: Graph, parts: Sequence[Part]) -> Assigned:
        """Return the weights by the names of the layers, or by their order if the names are others."""
        wanted = weights_by_layer(spec)
        filled = {name: arrays for name, arrays in self.layers if arrays}
        apart = _taken_apart(filled, wanted)
        if set(apart) == set(wanted):
            filled = apart
        groups, notes = _matched(filled, _groupings(parts, wanted))
        weights: dict[str, Array] = {}
        for arrays, layers in groups:
            for name, given in _split(spec, wanted, layers, arrays).items():
                _check_order(spec.layer(name).label, wanted[name], [weight for weight, _ in given])
                held = [array for _, array in given]
                if any("running_std" in weight for weight, _ in given):
                    converted, remark = from_deviations(spec.layer(name), held, self.version)
                else:
                    converted, remark = as_keras_3(spec.layer(name), held, self.backend)
                weights |= checked(spec, name, wanted[name], converted)
                notes += (f"layer {shown(name)}: {remark}",) if remark else ()
        return Assigned({name: weights[name] for name in spec.weight_shapes}, notes)

    def described(self) -> str:
        """Return the layers with the shapes of their weights."""
        return described({name: [array for _, array in arrays] for name, arrays in self.layers if arrays})


def _groupings(parts: Sequence[Part], wanted: Mapping[str, Sequence[str]]) -> list[dict[str, list[str]]]:
    """Return the layers with weights of each list of a file: by the parts of the model, and one by one."""
    inside = {part.name: [leaf.name for leaf in leaves([part]) if leaf.name in wanted] for part in parts}
    apart = {leaf.name: [leaf.name] for leaf in leaves(parts) if leaf.name in wanted}
    return [{name: layers for name, layers in inside.items() if layers}, apart]


def _taken_apart(filled: Mapping[str, tuple[Named, ...]], wanted: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the weights of models inside the model by the layer with whose name each weight begins."""
    layers: dict[str, list[Named]] = {}
    for group, arrays in filled.items():
        for name, array in arrays:
            layers.setdefault(group if group in wanted else name.split("/")[0], []).append((name, array))
    return layers


def _matched(
    filled: Mapping[str, tuple[Named, ...]], groupings: Sequence[Mapping[str, list[str]]]
) -> tuple[list[tuple[tuple[Named, ...], list[str]]], tuple[str, ...]]:
    """Return every list of the file with the layers of its weights, and a note where their names differ."""
    for grouping in groupings:
        if set(filled) == set(grouping):
            return [(arrays, grouping[name]) for name, arrays in filled.items()], ()
    for grouping in groupings:
        if len(filled) == len(grouping):
            note = f"layer names differ, so weights were assigned in order: {listed(filled)} to {listed(grouping)}"
            return list(zip(filled.values(), grouping.values(), strict=True)), (note,)
    names = groupings[0]
    raise InputError(
        f"the file holds weights of {len(filled)} layers ({listed(map(shown, filled))}), the model has {len(names)} "
        f"layers with weights ({listed(map(shown, names))}); give the architecture that the weights belong to"
    )


def _split(
    spec: Graph, wanted: Mapping[str, Sequence[str]], layers: Sequence[str], arrays: Sequence[Named]
) -> dict[str, list[Named]]:
    """Return the arrays of a list by layer: those that are trained come first, in the order of the layers."""
    if len(layers) == 1:
        return {layers[0]: list(arrays)}
    trained = set(spec.trainable_weights)
    flags = {name: [f"{name}/{weight}" in trained for weight in wanted[name]] for name in layers}
    if sum(map(len, flags.values())) != len(arrays):  # Keras 1 has more arrays for a recurrent layer
        flags = {name: [all(flag)] * keras_1_count(spec.layer(name), len(flag)) for name, flag in flags.items()}
    if (expected := sum(map(len, flags.values()))) != len(arrays):
        raise InputError(
            f"the model of the layers {listed(map(shown, layers))} has {len(arrays)} weights in the file, expected "
            f"{expected}; give the architecture that the weights belong to"
        )
    left = iter(arrays)
    taken: dict[str, dict[int, Named]] = {name: {} for name in layers}
    for turn in (True, False):
        for name, flag in flags.items():
            for number in (number for number, is_trained in enumerate(flag) if is_trained is turn):
                taken[name][number] = next(left)
    return {name: [given[number] for number in sorted(given)] for name, given in taken.items()}


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
