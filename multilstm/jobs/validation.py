"""Checks what comes from outside before any engine sees it: names, ranks, shapes, dtypes, finiteness.

Every refusal names the array, what was given, what was expected, and what to do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from multilstm.errors import InputError
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Batch
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import Array, State
from multilstm.spec.shapes import Shape, show

_MASK_OF_LSTM = {  # by the rank of the mask
    2: "[batch, size]; all gates share it with implementation=2",
    3: "[gates, batch, size]; each gate has its own with implementation=1 or a recurrent_dropout",
}


def check_batch(spec: Graph, batch: Batch) -> Batch:
    """The batch with all its arrays checked against the spec.

    Raises:
        InputError: for a missing or unknown name, a wrong shape or dtype, values that are not finite, or no sequences.
    """
    batch = check_shapes(spec, batch)
    for name, array in batch.inputs.items():
        _values(f"input {name!r}", array)
        if spec.inputs[name].dtype == "int32" and array.dtype.kind not in "iu" and (array != np.floor(array)).any():
            raise InputError(f"input {name!r}: it holds tokens: whole numbers are expected, given {array.dtype}")
    for name, mask in batch.masks.items():
        if mask.dtype.kind not in "b" and not np.isin(mask, (0, 1)).all():
            raise InputError(f"mask of input {name!r}: expected True and False, given values of dtype {mask.dtype}")
    for name, state in batch.states.items():
        for field, array in state._asdict().items():
            _numbers(f"LSTM {name!r}: its {field} state", array)
            _finite(f"LSTM {name!r}: its {field} state", array)
    for index, target in enumerate(batch.targets):
        _values(f"target {index}", target)
    return dataclasses.replace(batch, dropout=check_dropout(spec, batch.dropout, batch.size))


def check_range(batch: Batch, weights: Mapping[str, Array], dtypes: Iterable[str]) -> None:
    """Returns if every number is finite in every dtype, as which engines are given it.

    Raises:
        InputError: for a number beyond the largest of a dtype, which would become infinite.
    """
    arrays = {f"input {name!r}": array for name, array in batch.inputs.items()}
    arrays |= {f"target {index}": array for index, array in enumerate(batch.targets)}
    arrays |= {f"dropout mask {name!r}": array for name, array in batch.dropout.items()}
    arrays |= {
        f"LSTM {name!r}: its {field} state": array
        for name, state in batch.states.items()
        for field, array in state._asdict().items()
    }
    arrays |= {f"weight {name!r}": array for name, array in weights.items()}
    for dtype in dict.fromkeys(map(stored, dtypes)):
        largest = np.finfo(dtype).max
        for what, array in arrays.items():
            beyond = np.abs(array) > largest if array.dtype.kind == "f" else np.zeros(array.shape, bool)
            if beyond.any():
                place = tuple(int(i) for i in np.argwhere(beyond)[0])
                raise InputError(
                    f"{what}: value {array[place]:g} at {place} is beyond {dtype}, whose largest is {largest:.3g}; "
                    f"scale it, or compute in float64"
                )


def check_shapes(spec: Graph, batch: Batch) -> Batch:
    """The batch, as arrays, with names and shapes checked but for dropout masks, and tokens: an Embedding has them.

    Every engine asks this of every step: what plain Keras refuses on one backend, another broadcasts, cuts, or turns
    into NaN. What else the arrays hold is not looked at, since masked timesteps may hold anything.

    Raises:
        InputError: for a missing or unknown name, a wrong shape, or a token outside the vocabulary.
    """
    inputs = _named("input", batch.inputs, spec.inputs)
    for name, array in inputs.items():
        _shape(f"input {name!r}", array, (spec.inputs[name].batch_size, *spec.inputs[name].shape))
    sizes = {name: len(array) for name, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"inputs have different numbers of sequences: {sizes}; expected one batch size")
    _tokens(spec, inputs)
    size = next(iter(sizes.values()))
    masks = _named("mask", batch.masks, inputs, partial=True)
    for name, mask in masks.items():
        expected = inputs[name].shape[:2]
        if mask.shape != expected:
            raise InputError(
                f"mask of input {name!r}: shape is {mask.shape}, expected {expected}: [batch, timesteps], as the "
                f"input; True marks a timestep that counts"
            )
    states = {name: _state(spec, name, state, size) for name, state in batch.states.items()}
    return Batch(inputs, _targets(spec, batch, size), masks, states, batch.dropout)


def _state(spec: Graph, name: str, state: State, batch: int) -> State:
    """The initial state of one LSTM, as arrays `[batch, units]`."""
    if name not in spec.lstms:
        known = ", ".join(spec.lstms) or "none: the model has no LSTM"
        raise InputError(f"states are given for {name!r}: expected the name of an LSTM of the model ({known})")
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise InputError(f"LSTM {name!r}: its state is State(hidden, cell); given {type(state).__name__}")
    arrays = State(*map(np.asarray, state))
    expected = (batch, spec.lstms[name].units)
    for field, array in arrays._asdict().items():
        if array.shape != expected:
            raise InputError(
                f"LSTM {name!r}: its {field} state has shape {array.shape}, expected {expected}: [batch, units]"
            )
    return arrays


def check_dropout(spec: Graph, given: Mapping[str, Any], batch: int, step: str | None = None) -> dict[str, Array]:
    """The dropout masks as arrays.

    Args:
        spec: the model.
        given: masks by name, as in `multilstm.jobs.job.Batch`.
        batch: how many sequences there are.
        step: the kind of the step that needs all of the model's masks; None: some may be missing.

    Raises:
        InputError: for a missing or unknown name, a wrong shape or dtype, or values that are not finite.
    """
    needed = dropout_masks(spec, batch)
    found = _named("dropout mask", given, list(dict.fromkeys(mask.name for mask in needed)), partial=True)
    for name, _, shape in needed:
        if name in found:
            array = found[name]
            _numbers(f"dropout mask {name!r}", array)
            if not _fits(array, shape):
                meaning = _MASK_OF_LSTM[len(shape)] if "/" in name else "that of the Dropout layer's input"
                raise InputError(f"dropout mask {name!r}: shape is {array.shape}, expected {show(shape)}: {meaning}")
            _finite(f"dropout mask {name!r}", array)
        elif step is not None:
            raise InputError(
                f"dropout mask {name!r} is missing in a {step} step; given {', '.join(map(repr, given)) or 'none'}; "
                f"add an array of 0 and 1 / (1 - rate), of shape {show(shape)}"
            )
    return found


def _tokens(spec: Graph, inputs: Mapping[str, Array]) -> None:
    """Frameworks differ in what they do with a token that an Embedding does not have."""
    for call in spec.calls:
        layer = spec.layer(call.layer)
        source = spec.calls[call.inputs[0].call].layer if call.inputs else ""
        if isinstance(layer, Embedding) and source in inputs:
            wrong = inputs[source][(inputs[source] < 0) | (inputs[source] >= layer.input_dim)]
            if wrong.size:
                raise InputError(
                    f"Embedding {layer.name!r}: token {wrong[0]} in input {source!r}, expected 0 to "
                    f"{layer.input_dim - 1}; raise input_dim or mend the input"
                )


def _targets(spec: Graph, batch: Batch, size: int) -> tuple[Array, ...]:
    if not batch.targets:
        return ()
    if len(batch.targets) != len(spec.outputs):
        raise InputError(f"{len(batch.targets)} targets given, expected one for each of {len(spec.outputs)} outputs")
    targets = tuple(np.asarray(target) for target in batch.targets)
    for index, (target, shape) in enumerate(zip(targets, spec.output_shapes, strict=True)):
        _shape(f"target {index}", target, (size, *shape[1:]))
    return targets


def _named(what: str, given: Mapping[str, Any], known: Any, partial: bool = False) -> dict[str, Array]:
    unknown = [name for name in given if name not in known]
    missing = [name for name in known if name not in given and not partial]
    if unknown or missing:
        wrong = f"unknown {unknown[0]!r}" if unknown else f"{missing[0]!r} is missing"
        raise InputError(f"{what}: {wrong}; expected {', '.join(map(repr, known)) or 'none'}")
    return {name: np.asarray(given[name]) for name in known if name in given}


def _shape(what: str, array: Array, expected: Shape) -> None:
    if not _fits(array, expected):
        raise InputError(f"{what}: shape is {array.shape}, expected {show(expected)}")


def _values(what: str, array: Array) -> None:
    _numbers(what, array)
    if array.size == 0:
        raise InputError(f"{what}: it is empty, shape {array.shape}; there would be nothing to compare")
    _finite(what, array)


def _fits(array: Array, expected: Shape) -> bool:
    return array.ndim == len(expected) and all(
        size in (None, given) for given, size in zip(array.shape, expected, strict=True)
    )


def _numbers(what: str, array: Array) -> None:
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(f"{what}: dtype is {array.dtype}, expected numbers of at most 64 bits")


def _finite(what: str, array: Array) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{what}: value {array[place]} at {place}; expected finite numbers")
