"""Checks of arrays from outside, before any engine sees them: names, ranks, shapes, dtypes, range, finiteness.

A batch and a spec enter; the batch leaves with all its arrays as NumPy arrays. Every error names the array, the given
and the expected values, and the remedy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.jobs.dtypes import stored
from multilstm.jobs.integers import check_whole_numbers
from multilstm.jobs.job import Batch
from multilstm.jobs.memory import check_memory
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array, as_array, by_name
from multilstm.spec.shapes import Shape, show

__all__ = ["check_batch", "check_dropout", "check_has_timesteps", "check_range", "check_shapes"]

_MASK_INSIDE = {  # by whether each gate has its own
    False: "[batch, size]; all gates share it with implementation=2",
    True: "[gates, batch, size]; each gate has its own with implementation=1, a recurrent_dropout or convolutions",
}


def check_batch(spec: Graph, batch: Batch) -> Batch:
    """Check all arrays of a batch against the spec.

    Args:
        spec: the model.
        batch: the arrays of one step.

    Returns:
        The batch with NumPy arrays.

    Raises:
        InputError: for a missing or unknown name, a wrong shape or dtype, values that are not finite, or no sequences.
    """
    batch = check_shapes(spec, batch)
    check_memory(spec, batch.size, max((max(array.shape[1:], default=1) for array in batch.inputs.values()), default=1))
    for name, array in batch.inputs.items():
        _values(f"input {name!r}", array)
    for name, mask in batch.masks.items():
        if mask.dtype.kind not in "b" and not np.isin(mask, (0, 1)).all():
            raise InputError(f"mask of input {name!r}: expected True and False, given values of dtype {mask.dtype}")
    for name, state in batch.states.items():
        for field, array in state._asdict().items():
            _finite(f"{spec.recurrent[name].class_name} {name!r}: its {field} state", array)
    for index, target in enumerate(batch.targets):
        _values(f"target {index}", target)
    return dataclasses.replace(batch, dropout=check_dropout(spec, batch.dropout, batch.size))


def check_range(batch: Batch, weights: Mapping[str, Array], dtypes: Iterable[str]) -> None:
    """Check that every number stays finite in every dtype in which engines get it.

    Args:
        batch: the arrays of one step.
        weights: every weight by `layer/weight`.
        dtypes: the dtypes of the jobs.

    Raises:
        InputError: for a number beyond the largest of a dtype, which would become infinite.
    """
    arrays = {f"input {name!r}": array for name, array in batch.inputs.items()}
    arrays |= {f"target {index}": array for index, array in enumerate(batch.targets)}
    arrays |= {f"dropout mask {name!r}": array for name, array in batch.dropout.items()}
    arrays |= {
        f"layer {name!r}: its {field} state": array
        for name, state in batch.states.items()
        for field, array in state._asdict().items()
    }
    arrays |= {f"weight {name!r}": array for name, array in weights.items()}
    for dtype in dict.fromkeys(map(stored, dtypes)):
        largest = np.finfo(dtype).max
        for label, array in arrays.items():
            beyond = np.abs(array) > largest if array.dtype.kind == "f" else np.zeros(array.shape, bool)
            if beyond.any():
                place = tuple(int(i) for i in np.argwhere(beyond)[0])
                raise InputError(
                    f"{label}: value {array[place]:g} at {place} is beyond {dtype}, whose largest is {largest:.3g}; "
                    f"scale it, or compute in float64"
                )


def check_has_timesteps(spec: Graph, name: str) -> None:
    """Return if an input can have a mask: sequences or images `[batch, timesteps, ...]`, or tokens.

    Raises:
        InputError: for an input `[batch, features]`.
    """
    layer = spec.inputs[name]
    if len(layer.shape) < 2 and layer.dtype != "int32":
        raise InputError(
            f"mask of input {name!r}: the input is [batch, features] and has no timesteps; leave the mask out"
        )


def check_shapes(spec: Graph, batch: Batch) -> Batch:
    """Check names, shapes, dtypes and integers of a batch; `check_dropout` checks dropout masks.

    Every engine calls this for every step: an array that plain Keras refuses on one backend is broadcast, cut or
    replaced by NaN on another. Floats are not checked, since masked timesteps may hold anything.

    Args:
        spec: the model.
        batch: the arrays of one step.

    Returns:
        The batch with NumPy arrays.

    Raises:
        InputError: for a missing or unknown name, or a wrong shape or dtype. Also for a fraction in place of an
            integer, an integer that int32 does not hold, or a token outside the vocabulary.
        SpecError: for a size that the spec leaves open, and that a layer cannot take.
    """
    inputs = _named("input", batch.inputs, spec.inputs)
    for name, array in inputs.items():
        _shape(f"input {name!r}", array, (spec.inputs[name].batch_size, *spec.inputs[name].shape))
    sizes = {name: len(array) for name, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"inputs have different numbers of sequences: {sizes}; expected one batch size")
    spec.shapes_for({name: array.shape for name, array in inputs.items()})
    for name, array in inputs.items():
        check_whole_numbers(spec, name, array)
    size = next(iter(sizes.values()))
    masks = _named("mask", batch.masks, inputs, partial=True)
    for name, mask in masks.items():
        check_has_timesteps(spec, name)
        expected = inputs[name].shape[:2]
        if mask.shape != expected:
            raise InputError(
                f"mask of input {name!r}: shape is {mask.shape}, expected {expected}: [batch, timesteps], as the "
                f"input; True marks a timestep that counts"
            )
    states = {name: _state(spec, name, state, size) for name, state in by_name("states", batch.states).items()}
    return Batch(inputs, _targets(spec, batch, size), masks, states, batch.dropout)


def _state(spec: Graph, name: str, state: AnyState, batch: int) -> AnyState:
    """Return the initial state of one recurrent layer as arrays, such as `[batch, units]`."""
    if name not in spec.recurrent:
        known = listed(spec.recurrent) or "none: the model has no such layer"
        raise InputError(
            f"states are given for {shown(name)}: expected the name of a recurrent layer of the model ({known})"
        )
    layer = spec.recurrent[name]
    label = f"{layer.class_name} {name!r}"
    if not isinstance(state, (tuple, list)) or len(state) != layer.state_count:
        raise InputError(f"{label}: its state is {layer.state_in_words}; given {type(state).__name__}")
    fields = zip(layer.state_names, state, strict=True)
    arrays = layer.state_type._make(as_array(f"{label}: its {field} state", values) for field, values in fields)
    expected = spec.state_shape(name, batch)
    for field, array in arrays._asdict().items():
        if array.shape != expected:
            raise InputError(
                f"{label}: its {field} state has shape {array.shape}, expected {expected}: {layer.state_axes}"
            )
    return arrays


def check_dropout(spec: Graph, given: Mapping[str, Any], batch: int, step: str | None = None) -> dict[str, Array]:
    """Check the dropout masks of a step.

    Args:
        spec: the model.
        given: masks by name, as in `multilstm.jobs.job.Batch`.
        batch: the number of sequences.
        step: the kind of a step that needs all masks of the model; None: some may be missing.

    Returns:
        The masks as NumPy arrays, by name.

    Raises:
        InputError: for a missing or unknown name, a wrong shape or dtype, or values that are not finite.
    """
    needed = dropout_masks(spec, batch)
    masks = _named("dropout mask", given, list(dict.fromkeys(mask.name for mask in needed)), partial=True)
    for mask in needed:
        name, shape = mask.name, mask.shape
        if name in masks:
            array = masks[name]
            if not _fits(array, shape):
                meaning = _MASK_INSIDE[mask.gates] if "/" in name else f"the mask of {spec.layer(name).label}"
                raise InputError(f"dropout mask {name!r}: shape is {array.shape}, expected {show(shape)}: {meaning}")
            _finite(f"dropout mask {name!r}", array)
        elif step is not None:
            seeded = ", or a seed to the layer" if mask.seeded else ""
            raise InputError(
                f"dropout mask {name!r} is missing in a {step} step; given {listed(map(repr, given)) or 'none'}; "
                f"add an array of {mask.values_in_words}, of shape {show(shape)}{seeded}"
            )
    return masks


def _targets(spec: Graph, batch: Batch, size: int) -> tuple[Array, ...]:
    if not batch.targets:
        return ()
    if len(batch.targets) != len(spec.outputs):
        raise InputError(f"{len(batch.targets)} targets given, expected one for each of {len(spec.outputs)} outputs")
    targets = tuple(as_array(f"target {index}", target) for index, target in enumerate(batch.targets))
    for index, (target, shape) in enumerate(zip(targets, spec.output_shapes, strict=True)):
        _shape(f"target {index}", target, (size, *shape[1:]))
    return targets


def _named(kind: str, given: Mapping[str, Any], known: Any, partial: bool = False) -> dict[str, Array]:
    """Return the given values as arrays, in the order of the known names; without `partial` none may be missing."""
    by_name(f"{kind}s", given)
    unknown = [name for name in given if name not in known]
    missing = [name for name in known if name not in given and not partial]
    if unknown or missing:
        wrong = f"unknown {shown(unknown[0])}" if unknown else f"{missing[0]!r} is missing"
        raise InputError(f"{kind}: {wrong}; expected {listed(map(repr, known)) or 'none'}")
    label = "mask of input" if kind == "mask" else kind
    return {name: as_array(f"{label} {name!r}", given[name]) for name in known if name in given}


def _shape(label: str, array: Array, expected: Shape) -> None:
    if not _fits(array, expected):
        raise InputError(f"{label}: shape is {array.shape}, expected {show(expected)}")


def _values(label: str, array: Array) -> None:
    if array.size == 0:
        raise InputError(f"{label}: it is empty, shape {array.shape}; there would be nothing to compare")
    _finite(label, array)


def _fits(array: Array, expected: Shape) -> bool:
    return array.ndim == len(expected) and all(
        size in (None, given) for given, size in zip(array.shape, expected, strict=True)
    )


def _finite(label: str, array: Array) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{label}: value {array[place]} at {place}; expected finite numbers")
