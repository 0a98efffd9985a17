"""The check of all arrays that enter a model against its spec: names, shapes and dtypes, when a program is traced.

Values are checked too, where they exist: tokens and `timesteps` of concrete arrays. Under `jax.jit` they do not exist.
There, a token outside of an Embedding's table gives NaN, except that -1 to -input_dim count from the table's end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.errors import InputError, UsageError, shown
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.jobs.integers import check_whole_numbers
from multilstm.jobs.validation import check_has_timesteps
from multilstm.scan.arguments import as_numbers, narrowed
from multilstm.scan.batch import Batch
from multilstm.scan.forward import is_open
from multilstm.scan.loops.checks import is_concrete
from multilstm.spec import Embedding, Graph
from multilstm.spec.arrays import as_state
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.shapes import Shape, closed, show

_DROPOUT = {  # meaning of a mask of a recurrent layer, by its rank
    2: "[batch, size]: all gates share it (implementation=2)",
    3: "[gates, batch, size]: each gate has its own (implementation=1, or a recurrent_dropout)",
}


def check_batch(spec: Graph, weights: Mapping[str, Any], batch: Batch) -> tuple[dict[str, Any], Batch]:
    """Check weights and batch, and return them with arrays in place of numbers and lists; nothing is broadcast.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`.
        batch: with or without targets.

    Raises:
        InputError: for a missing or unknown name, a wrong shape or dtype, or another type than a dict. Also for a token
            outside of an Embedding's table, or a number of timesteps above that of the arrays.
        SpecError: for a size that the spec leaves open, and that a layer cannot take.
    """
    check_weights(spec, weights)
    size = _check_inputs(spec, batch.inputs)
    _check_masks(spec, batch)
    _check_states(spec, batch.states, size)
    _check_dropout(spec, batch.dropout, size)
    _check_targets(spec, batch.targets, size)
    _check_timesteps(spec, batch)
    states = {name: as_state(*(as_numbers(name, array) for array in state)) for name, state in batch.states.items()}
    targets = [as_numbers("target", target) for target in batch.targets]
    inputs, masks, dropout = map(as_arrays, (batch.inputs, batch.masks, batch.dropout))
    return as_arrays(weights), Batch(inputs, targets, masks, states, dropout, batch.timesteps, batch.step)


def as_arrays(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name as arrays of JAX or NumPy, which numbers and nested lists become."""
    return {name: as_numbers(name, values) for name, values in named.items()}


def check_slots(
    spec: Graph,
    optimizer: Optimizer,
    slots: Mapping[str, Any],
    coefficients: Mapping[str, Any],
    gradients: Mapping[str, Any] | None = None,
) -> None:
    """Check the arrays of an update: slots and gradients have the shapes of their weights, coefficients are numbers.

    Args:
        spec: the model.
        optimizer: the update rule.
        slots: every optimizer slot by `layer/weight/slot`.
        coefficients: those of an iteration.
        gradients: of every trained weight; None: they are not checked.

    Raises:
        InputError: for a missing or unknown name, or a wrong shape.
        UsageError: for another type than an optimizer.
    """
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"optimizer: given {shown(optimizer)}, expected one of multilstm, such as multilstm.Adam()")
    shapes = {name: spec.weight_shapes[name] for name in spec.trainable_weights}
    of_slots = {f"{name}/{slot}": shape for name, shape in shapes.items() for slot in optimizer.slots}
    of_coefficients: dict[str, Shape] = dict.fromkeys(optimizer.coefficients(0), ())
    groups: list[tuple[str, Any, Mapping[str, Shape]]] = [
        ("slot", slots, of_slots),
        ("coefficient", coefficients, of_coefficients),
    ]
    if gradients is not None:
        groups.append(("gradient", gradients, shapes))
    for kind, arrays, expected in groups:
        _check_names(kind, arrays, expected)
        for name, shape in expected.items():
            _check_shape(f"{kind} {name!r}", arrays[name], shape)


def check_weights(spec: Graph, weights: Any) -> None:
    """Check the weights of a model: their names, their shapes, and one floating dtype.

    Raises:
        InputError: with the name of the weight and its layer.
    """
    shapes = spec.weight_shapes
    _check_names("weight", weights, shapes)
    dtypes = {}
    for name, shape in shapes.items():
        layer = spec.layer(name.partition("/")[0]).label
        _check_shape(f"weight {name!r} of {layer}", weights[name], shape)
        dtypes[name] = _dtype(f"weight {name!r} of {layer}", weights[name])
        if not jnp.issubdtype(dtypes[name], jnp.floating):
            raise InputError(f"weight {name!r} of {layer}: dtype is {dtypes[name]}, expected a floating dtype")
    if len(set(dtypes.values())) > 1:
        text = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise InputError(f"weights have different dtypes, expected one: {text}")


def _check_inputs(spec: Graph, inputs: Any) -> int:
    """Check the inputs and return the number of sequences."""
    _check_names("input", inputs, spec.inputs)
    for name, layer in spec.inputs.items():
        _check_shape(f"input {name!r}", inputs[name], (layer.batch_size, *layer.shape))
    sizes: dict[str, int] = {name: np.shape(array)[0] for name, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"inputs have different numbers of sequences: {sizes}; expected one batch size")
    spec.shapes_for({name: np.shape(array) for name, array in inputs.items()})
    tokens = spec.readers(Embedding)
    for name, array in inputs.items():
        if is_concrete(array) and (spec.inputs[name].dtype == "int32" or name in tokens):  # floats stay on their device
            check_whole_numbers(spec, name, np.asarray(array))
        _check_narrow(f"input {name!r}", array)
    return next(iter(sizes.values()))


def _check_masks(spec: Graph, batch: Batch) -> None:
    _check_names("mask", batch.masks, batch.inputs, complete=False)
    for name, mask in batch.masks.items():
        check_has_timesteps(spec, name)
        what = f"mask of input {name!r}"
        if (dtype := _dtype(what, mask)) != np.bool_:
            raise InputError(f"{what}: dtype is {dtype}, expected bool; True marks a timestep that counts")
        _check_shape(what, mask, np.shape(batch.inputs[name])[:2], ": [batch, timesteps], as its input")


def _check_states(spec: Graph, states: Any, size: int) -> None:
    _check_names("state", states, spec.recurrent, complete=False)
    for name, state in states.items():
        layer = spec.recurrent[name]
        label = f"{layer.class_name} {name!r}"
        if not isinstance(state, layer.state_type):
            raise InputError(f"state of {label}: expected {layer.state_in_words}, given {type(state).__name__}")
        for field, array in state._asdict().items():
            what = f"{field} state of {label}"
            _check_shape(what, array, closed(spec.state_shape(name, size)), f": {layer.state_axes}")
            _check_narrow(what, array)


def _check_dropout(spec: Graph, dropout: Any, size: int) -> None:
    masks = dropout_masks(spec, size)
    _check_names("dropout mask", dropout, dict.fromkeys(mask.name for mask in masks), complete=False)
    for mask in masks:
        if mask.name in dropout:
            name = mask.name
            meaning = _DROPOUT[len(mask.shape)] if "/" in name else f"the mask of {spec.layer(name).label}"
            _check_shape(f"dropout mask {mask.name!r}", dropout[mask.name], mask.shape, f": {meaning}")
            _check_narrow(f"dropout mask {mask.name!r}", dropout[mask.name])


def _check_targets(spec: Graph, targets: Any, size: int) -> None:
    if not isinstance(targets, list | tuple):
        raise InputError(f"targets: expected a list with an array for every output, given {type(targets).__name__}")
    if targets and len(targets) != len(spec.outputs):
        raise InputError(f"targets: given {len(targets)}, expected one for each of the {len(spec.outputs)} outputs")
    for index, (target, shape) in enumerate(zip(targets, spec.output_shapes, strict=False)):
        _check_shape(f"target {index}", target, (size, *shape[1:]))
        _check_narrow(f"target {index}", target)


def _check_timesteps(spec: Graph, batch: Batch) -> None:
    if batch.timesteps is None:
        return
    _check_padding(spec)
    _check_shape("timesteps", batch.timesteps, ())
    if not jnp.issubdtype(dtype := _dtype("timesteps", batch.timesteps), jnp.integer):
        raise InputError(f"timesteps: dtype is {dtype}, expected an integer")
    if is_concrete(batch.timesteps):
        opens = [name for name, layer in spec.inputs.items() if layer.shape and layer.shape[0] is None]
        most = min((np.shape(batch.inputs[name])[1] for name in opens), default=None)
        timesteps = int(batch.timesteps)
        if most is not None and not 0 <= timesteps <= most:
            raise InputError(f"timesteps: given {timesteps}, expected 0 to {most}, the timesteps of the arrays")


def _check_padding(spec: Graph) -> None:
    """Refuse a layer through which padding would reach timesteps that are real, statistics, or outputs.

    A tensor `[batch, timesteps]` is for an Embedding alone: to any other layer, its timesteps are features.
    """
    for call in spec.calls:
        layer = spec.layer(call.layer)
        shapes = [spec.tensor_shapes[ref] for ref in call.inputs]
        features = [shape for shape in shapes if len(shape) == 2 and shape[1] is None]
        mixes = layer.mixes_timesteps or bool(layer.statistics)
        if (mixes and any(map(is_open, shapes))) or (features and not isinstance(layer, Embedding)):
            raise InputError(
                f"timesteps: {layer.label} reads several timesteps, so padding would change its results; leave out "
                f"timesteps or BucketedModel, or fix the number of timesteps of the Input"
            )


def _check_names(kind: str, arrays: Any, known: Collection[str], complete: bool = True) -> None:
    expected = ", ".join(map(repr, known)) or "none"
    if not isinstance(arrays, Mapping):
        raise InputError(f"{kind}: expected a dict of arrays by name ({expected}), given {type(arrays).__name__}")
    unknown = [name for name in arrays if name not in known]
    missing = [name for name in known if name not in arrays] if complete else []
    if unknown or missing:
        wrong = f"unknown {shown(unknown[0])}" if unknown else f"{missing[0]!r} is missing"
        raise InputError(f"{kind}: {wrong}; expected {expected}")


def _check_shape(what: str, array: Any, expected: Shape, meaning: str = "") -> None:
    shape = as_numbers(what, array).shape
    fits = len(shape) == len(expected) and all(
        size in (None, actual) for actual, size in zip(shape, expected, strict=True)
    )
    if not fits:
        raise InputError(f"{what}: shape is {shape}, expected {show(expected)}{meaning}")


def _check_narrow(what: str, array: Any) -> None:
    """Check that JAX keeps every integer of an array, whose dtype it may narrow."""
    narrowed(what, as_numbers(what, array))


def _dtype(what: str, array: Any) -> Any:
    """Return the dtype that the array has in JAX: without x64 mode, that of float64 is float32."""
    return jax.dtypes.canonicalize_dtype(as_numbers(what, array).dtype)
