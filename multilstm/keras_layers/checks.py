"""Refusals of arguments that Keras accepts in silence, or refuses in other words on each backend.

Every refusal is a ValueError that names the layer, the given value, the expected value and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, cast

import keras
import numpy as np

from multilstm.errors import shown

_FLAGS = (
    "use_bias", "unit_forget_bias", "return_sequences", "return_state", "go_backwards", "stateful", "unroll",
    "zero_output_for_mask", "reset_after",
)  # fmt: skip


def check_recurrent_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse wrong arguments of LSTM, GRU or SimpleRNN.

    Args:
        name: the class of the layer.
        arguments: the arguments by name; absent ones have Keras's defaults.
    """
    units = arguments.get("units", 1)
    if isinstance(units, bool) or not isinstance(units, Integral) or not 0 < int(units) < 2**31:
        raise ValueError(f"{name}: units must be a positive integer below 2**31; given {shown(units)}")
    for argument in ("dropout", "recurrent_dropout"):
        rate = arguments.get(argument, 0.0)
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= cast(Any, rate) < 1:
            raise ValueError(
                f"{name}: {argument} must be a number with 0 <= {argument} < 1; given {shown(rate)}. It is the share "
                f"of values that training sets to zero: give 0.2 for 20 %"
            )
    implementation = arguments.get("implementation", 2)
    if isinstance(implementation, bool) or not isinstance(implementation, Real) or implementation not in (1, 2):
        raise ValueError(
            f"{name}: implementation must be 1 (a dropout mask for each gate) or 2 (one for all); given "
            f"{shown(implementation)}. Leave it out for 2"
        )
    for argument in _FLAGS:
        flag = arguments.get(argument, False)
        if not isinstance(flag, (bool, np.bool_, Integral)) or flag not in (0, 1):
            raise ValueError(f"{name}: {argument} must be True or False; given {shown(flag)}")


def check_sequences(layer: Any, sequences: Any) -> None:
    """Refuse sequences of text, complex or masked numbers, integers that JAX wraps, and sequences without timesteps.

    Args:
        layer: the layer that is called.
        sequences: its input, `[batch, timesteps, features]`.
    """
    first = keras.tree.flatten(sequences)[0] if isinstance(sequences, (list, tuple)) and sequences else sequences
    _check_numbers(layer, "the input", first)
    shape = _shape(sequences)
    if len(shape) > 1 and shape[1] == 0:
        raise ValueError(
            f"{title(layer)}: the input must have at least one timestep; given the shape {show(shape)}, which is "
            f"[batch, timesteps, features]. Leave empty sequences out, or pad them and mask the padding"
        )


def _check_numbers(layer: Any, noun: str, array: Any) -> None:
    """Refuse an array of text, complex or masked numbers, and integers that JAX wraps."""
    dtype = getattr(array, "dtype", type(array).__name__)
    name = getattr(dtype, "name", str(dtype))
    if name in ("str", "bytes", "string", "object") or name.startswith(("str", "bytes")):
        raise ValueError(
            f"{title(layer)}: {noun} must be numbers; given the dtype {name}. Map text to numbers first, for "
            f"example with keras.layers.TextVectorization"
        )
    if name.startswith("complex"):
        raise ValueError(
            f"{title(layer)}: {noun} must be real numbers; given the dtype {name}. Give real and imaginary parts as "
            f"two features"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError(
            f"{title(layer)}: {noun} must be an array without a mask; given a masked array of NumPy, whose mask "
            f"would be lost. Give the array with filled() and the timesteps that count as mask"
        )
    if isinstance(array, np.ndarray) and array.dtype.kind in "iu" and (array != array.astype("int32")).any():
        raise ValueError(
            f"{title(layer)}: {noun} has integers beyond int32, from {array.min()} to {array.max()}, which wrap "
            f"around on JAX. Give floats"
        )


def check_features(layer: Any, sequences: Any) -> None:
    """Refuse sequences of another number of features than that of the weights, which PyTorch's LSTM would take.

    Args:
        layer: a recurrent layer with weights.
        sequences: its input, `[batch, timesteps, features]`; images have a check of Keras.
    """
    kernel, shape = layer.cell.kernel, _shape(sequences)
    if len(kernel.shape) == 2 and not _fits(shape[2:], kernel.shape[:1]):
        raise ValueError(
            f"{title(layer)}: the input has {shape[-1]} features, expected {kernel.shape[0]}, those of the first call; "
            f"given the shape {show(shape)}, which is [batch, timesteps, features]. Make another layer for other inputs"
        )


def check_mask(layer: Any, sequences: Any, mask: Any) -> None:
    """Refuse a mask of lists or of masked numbers, and one whose known shape does not begin with that of the input."""
    mask = next(iter(mask), None) if isinstance(mask, (list, tuple)) else mask
    if isinstance(mask, (list, tuple, bool, np.ma.MaskedArray)):
        raise ValueError(
            f"{title(layer)}: the mask must be an array of booleans [batch, timesteps]; given {shown(mask)}. Give "
            f"numpy.array(mask), or fill a masked array"
        )
    if not hasattr(mask, "shape") or not hasattr(sequences, "shape"):
        return
    shape, expected = _shape(mask), _shape(sequences)
    if len(shape) < 2 or not _fits(shape[:2], expected[:2]):
        raise ValueError(
            f"{title(layer)}: the mask's shape {show(shape)} must begin with the input's batch size and timesteps; the "
            f"input's shape is {show(expected)}. Give one value for each timestep of each sequence"
        )


def check_states(layer: Any, sequences: Any, states: Any, sizes: Sequence[tuple[int, ...]]) -> None:
    """Refuse initial states of another number or shape.

    Args:
        layer: the layer that is called.
        sequences: its input.
        states: the initial states.
        sizes: the shape of each expected state without the batch; two for each LSTM, one for each GRU.
    """
    part = getattr(layer, "forward_layer", layer)
    both = part is not layer
    names = "the hidden state" if len(sizes) == (2 if both else 1) else "the hidden and the cell state"
    names += " of each direction" if both else ""
    axes = "[batch, units]" if len(sizes[0]) == 1 else "[batch, rows, columns, filters]"
    remedy = f"Give a list of {len(sizes)} array{'s' if len(sizes) > 1 else ''} {axes}: {names}"
    if not isinstance(states, (list, tuple)):
        raise ValueError(
            f"{title(layer)}: initial_state must be a list; given one array of the shape "
            f"{show(_shape(states))}. {remedy}"
        )
    if len(states) != len(sizes):
        raise ValueError(f"{title(layer)}: initial_state has {len(states)} arrays, expected {len(sizes)}. {remedy}")
    batch = _batch_size(sequences)
    for index, (state, expected) in enumerate(zip(states, sizes, strict=True)):
        _check_numbers(layer, f"array {index} of initial_state", state)
        shape = _shape(state)
        if shape != expected and not any(_fits(shape, (rows, *expected)) for rows in (batch, 1)):
            raise ValueError(
                f"{title(layer)}: array {index} of initial_state has the shape {show(shape)}, expected "
                f"{show((batch, *expected))}, {axes}. Give one row for each sequence, or one row for all of them"
            )
        if not hasattr(state, "shape"):
            raise ValueError(f"{title(layer)}: array {index} of initial_state is {shown(state)}. Give a numpy.array")


def check_batch_size(layer: Any, sequences: Any, expected: int) -> None:
    """Refuse a batch of another size than that of the carried states."""
    batch = _batch_size(sequences)
    if batch is not None and batch != expected:
        raise ValueError(
            f"{title(layer)}: with stateful=True every batch must have the batch size of its states, {expected}; given "
            f"{batch}. Leave out a smaller last batch, fill it up, or choose a batch size that divides the number of "
            f"sequences"
        )


def title(layer: Any) -> str:
    """Return the class and the name of a layer, such as `LSTM 'lstm_1'`."""
    return f"{type(layer).__name__} {layer.name!r}"


def show(shape: Any) -> str:
    """Return a shape as text, with `any` for an open size."""
    sizes = ["any" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _shape(value: Any) -> tuple[int | None, ...]:
    """Return the shape of an array or a tensor, or of nested lists."""
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)


def _batch_size(sequences: Any) -> int | None:
    """Return the number of sequences, or None if it is open."""
    shape = _shape(sequences)
    return shape[0] if shape else None


def _fits(shape: Any, expected: Any) -> bool:
    """Return whether two shapes can be equal; None is an open size."""
    return len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, expected, strict=True)
    )
