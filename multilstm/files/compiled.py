"""The training of a compiled model in a file of Keras: optimizer, losses, and the arrays of the optimizer.

A file has the arrays in the order of the trained weights. Either the arrays of one slot follow those of another, or the
arrays of one weight follow those of another. Single numbers before them are the count of updates and the learning rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.errors import InputError, SpecError, listed, shown
from multilstm.files.loaded import LoadedModel
from multilstm.files.stores import leaves, weights_by_layer
from multilstm.spec.arrays import Array
from multilstm.spec.dialects.training import left_out, optimizer_config, read_training
from multilstm.spec.dialects.versions import Version, version_of
from multilstm.spec.optimizers import SGD, Adam, Optimizer
from multilstm.spec.training import Training

__all__ = ["Compiled", "OptimizerState", "compiled", "compiled_alike", "optimizer_state", "version_in"]


@dataclasses.dataclass(frozen=True)
class OptimizerState:
    """The arrays of an optimizer.

    Attributes:
        slots: by `layer/weight/slot`; empty: zeros.
        iteration: the number of updates made before.
    """

    slots: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    iteration: int = 0


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The training of a loaded model.

    Attributes:
        training: optimizer and losses, in the meaning of the version that wrote the file; None without them.
        state: the arrays of the optimizer.
        notes: sentences, without a full stop, on what is not taken over.
    """

    training: Training | None = None
    state: OptimizerState = dataclasses.field(default_factory=OptimizerState)
    notes: tuple[str, ...] = ()


def version_in(loaded: LoadedModel) -> Version | None:
    """Return the version of Keras that wrote a model; None for another program."""
    origin = loaded.provenance
    if origin.generation is None:
        return None
    return version_of({"keras_version": origin.version or str(origin.generation)}, None)[0]


def compiled(loaded: LoadedModel) -> Compiled:
    """Return the training of a loaded model; parts that multilstm does not execute are left out, with a note."""
    version = version_in(loaded)
    if loaded.training is None or version is None:
        return Compiled()
    outputs = tuple(loaded.spec.calls[ref.call].layer for ref in loaded.spec.outputs)
    try:
        training = read_training(loaded.training, version, outputs)
    except SpecError as error:
        return Compiled(notes=(f"the file has no optimizer and no loss: {error}",))
    names = left_out(loaded.training)
    notes = (f"the file has no {listed(names)}, which change no weight; give them to compile again",) if names else ()
    if not loaded.optimizer_state:
        return Compiled(training, notes=notes)
    if version.number < (2, 1):
        note = f"the arrays of the optimizer are zeros in the file: the order of Keras {version.text} is not read"
        return Compiled(training, notes=(note, *notes))
    try:
        of_optimizer = version.of_optimizer(optimizer_config(loaded.training)[1])
        state = optimizer_state(loaded, training.optimizer, by_weight=of_optimizer.number >= (2, 11))
    except InputError as error:
        return Compiled(training, notes=(f"the arrays of the optimizer are zeros in the file: {error}", *notes))
    return Compiled(training, state, notes)


def compiled_alike(first: LoadedModel, second: LoadedModel) -> bool:
    """Whether two models were compiled with the same optimizer, losses and metrics, in any form of a file.

    Optimizers and losses that multilstm does not execute are compared by their classes and arguments.
    """
    configs = [_plain(model.training or {}) for model in (first, second)]
    trainings = [compiled(model).training for model in (first, second)]
    keys = ("metrics", "weighted_metrics", *(("optimizer", "loss", "loss_weights") if None in trainings else ()))
    return trainings[0] == trainings[1] and all(configs[0].get(key) == configs[1].get(key) for key in keys)


def _plain(value: Any) -> Any:
    """Return a part of a training configuration in one form, without names and modules of Python."""
    if isinstance(value, Mapping):
        named = {"optimizer" if key == "optimizer_config" else key: part for key, part in value.items()}
        return {key: _plain(part) for key, part in named.items() if key not in _FORM and part is not None}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


_FORM = ("module", "registered_name", "build_config", "shared_object_id", "name", "dtype")


def optimizer_state(loaded: LoadedModel, optimizer: Optimizer, by_weight: bool) -> OptimizerState:
    """Return the state of the optimizer of a loaded model.

    Args:
        loaded: the model.
        optimizer: its optimizer.
        by_weight: whether the file has the slots of an Adam weight by weight, as since Keras 2.11.

    Raises:
        InputError: for arrays that do not fit the optimizer and the trained weights of the model.
    """
    arrays = _in_order(loaded.optimizer_state or {})
    numbers = [array for array in arrays if not array.ndim]
    arrays = [array for array in arrays if array.ndim]
    iteration = int(numbers[0]) if numbers else 0
    if isinstance(optimizer, SGD) and not optimizer.slots:  # Keras 2 keeps a momentum of zeros
        return OptimizerState({}, iteration)
    groups = _groups(loaded)
    size = sum(map(len, groups.values()))
    if isinstance(optimizer, Adam) and len(arrays) == 3 * size and {a.shape for a in arrays[2 * size :]} == {(1,)}:
        arrays = arrays[: 2 * size]  # the place of amsgrad
    if size and len(arrays) == size * len(optimizer.slots):
        return OptimizerState(_slots(loaded, optimizer, arrays, by_weight), iteration)
    raise InputError(
        f"the file has {len(arrays)} arrays of the optimizer; expected {len(optimizer.slots)} for each of the trained "
        f"weights of {listed(groups) or 'no layer'}"
    )


def _in_order(state: Mapping[str, Array]) -> list[Array]:
    """Return the arrays in the order of the optimizer; Keras 3 numbers them, and HDF5 sorts the numbers as text."""
    numbers = {name: name.rpartition("/")[2] for name in state}
    if all(name.startswith("optimizer/vars/") and number.isdecimal() for name, number in numbers.items()):
        return [state[name] for name in sorted(state, key=lambda name: int(numbers[name]))]
    return list(state.values())


def _groups(loaded: LoadedModel) -> dict[str, list[str]]:
    """Return the trained weights of each layer, in the order of the layers of the file."""
    trained, wanted = set(loaded.spec.trainable_weights), weights_by_layer(loaded.spec)
    named = {
        part.name: [name for name in wanted.get(part.name, ()) if f"{part.name}/{name}" in trained]
        for part in leaves(loaded.parts)
    }
    return {layer: names for layer, names in named.items() if names}


def _slots(loaded: LoadedModel, optimizer: Optimizer, arrays: Sequence[Array], by_weight: bool) -> dict[str, Array]:
    groups = _groups(loaded)
    size = sum(map(len, groups.values()))
    slots: dict[str, Array] = {}
    for number, slot in enumerate(optimizer.slots):
        interleaved = by_weight and isinstance(optimizer, Adam)
        own = arrays[number :: len(optimizer.slots)] if interleaved else arrays[number * size : (number + 1) * size]
        start = 0
        for layer, names in groups.items():
            given = own[start : start + len(names)]
            start += len(names)
            expected = [loaded.spec.weight_shapes[f"{layer}/{name}"] for name in names]
            if [array.shape for array in given] != expected:
                raise InputError(
                    f"the optimizer's arrays of layer {shown(layer)} have the shapes "
                    f"{listed(array.shape for array in given)}; expected {listed(expected)}"
                )
            slots |= {f"{layer}/{name}/{slot}": array for name, array in zip(names, given, strict=True)}
    return slots
