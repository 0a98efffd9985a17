"""Reversible operations on the arrays of one LSTM, of which each dialect is a sequence.

An operation maps arrays by name to arrays by name. `undo` is the inverse of `apply`. Before the first operation the
arrays are Keras's: `kernel [features, 4 * units]`, `recurrent_kernel [units, 4 * units]` and `bias [4 * units]`, with
gates in the order i, f, c, o. An LSTM without a bias has no array `bias`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import final

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.spec.arrays import Array

__all__ = [
    "GATES",
    "AddForget",
    "ByGate",
    "CuDNN",
    "Join",
    "Operation",
    "Rename",
    "Reorder",
    "Transpose",
    "TwoBiases",
]

GATES = "ifco"  # Keras's order: input, forget, cell, output
Arrays = Mapping[str, Array]


class Operation(abc.ABC):
    """A reversible operation on the arrays of one LSTM."""

    @abc.abstractmethod
    def apply(self, arrays: Arrays) -> dict[str, Array]:
        """Return the arrays one step further from Keras's layout."""

    @abc.abstractmethod
    def undo(self, arrays: Arrays) -> dict[str, Array]:
        """Return the arrays one step nearer to Keras's layout; InputError for arrays that do not fit."""

    def for_gradients(self) -> Operation:
        """Return the operation on gradients of weights, and on optimizer slots such as Adam's moments."""
        return self

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """The operation in words, for the table of layouts."""


@final
@dataclasses.dataclass(frozen=True)
class Reorder(Operation):
    """Another order of the gates along the last axis of every array.

    Attributes:
        order: the four letters of `GATES`.
    """

    order: str

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        return {name: _blocks(array, [GATES.index(gate) for gate in self.order]) for name, array in arrays.items()}

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        return {name: _blocks(array, [self.order.index(gate) for gate in GATES]) for name, array in arrays.items()}

    @property
    def words(self) -> str:
        return f"gates {' '.join(self.order)}"


@final
@dataclasses.dataclass(frozen=True)
class AddForget(Operation):
    """Another constant in the bias of gate f, since the framework adds a constant at run time.

    float32 holds `b - 1` exactly where `b` is from 0.5 to 2. Elsewhere the sum is rounded.

    Attributes:
        added: the constant that is added to the stored bias.
    """

    added: float

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        return _with_forget(arrays, self.added)

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        return _with_forget(arrays, -self.added)

    def for_gradients(self) -> Operation:
        return AddForget(0.0)

    @property
    def words(self) -> str:
        return f"{self.added:+g} on the bias of f"


@final
@dataclasses.dataclass(frozen=True)
class Transpose(Operation):
    """Both kernels with the gates along the first axis."""

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        return {name: array.T for name, array in arrays.items()}

    undo = apply

    @property
    def words(self) -> str:
        return "transposed kernels"


@final
@dataclasses.dataclass(frozen=True)
class TwoBiases(Operation):
    """A second bias `recurrent_bias`, which is zero; the way back adds both. Both have the same gradient.

    Attributes:
        joined: whether both are one array, the recurrent bias behind the other.
        gradients: whether the arrays are gradients.
    """

    joined: bool = False
    gradients: bool = False

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        if "bias" not in arrays:
            return dict(arrays)
        second = arrays["bias"] if self.gradients else np.zeros_like(arrays["bias"])
        if self.joined:
            return {**arrays, "bias": np.concatenate([arrays["bias"], second])}
        return {**arrays, "recurrent_bias": second}

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        arrays = dict(arrays)
        if "bias" not in arrays:
            return arrays
        if self.joined:
            first, second = np.split(arrays["bias"], 2)
        else:
            first, second = arrays["bias"], arrays.pop("recurrent_bias")
        return {**arrays, "bias": first if self.gradients else first + second}

    def for_gradients(self) -> Operation:
        return TwoBiases(self.joined, gradients=True)

    @property
    def words(self) -> str:
        return "two biases, added" + (" (one array)" if self.joined else "")


@final
@dataclasses.dataclass(frozen=True)
class Join(Operation):
    """One kernel `[features + units, 4 * units]`: the recurrent kernel below the other."""

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        joined = np.concatenate([arrays["kernel"], arrays["recurrent_kernel"]])
        return {"kernel": joined, **{name: array for name, array in arrays.items() if name == "bias"}}

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        units = arrays["kernel"].shape[1] // 4
        kernel, recurrent = arrays["kernel"][:-units], arrays["kernel"][-units:]
        return {**arrays, "kernel": kernel, "recurrent_kernel": recurrent}

    @property
    def words(self) -> str:
        return "one kernel for inputs and hidden state"


@final
@dataclasses.dataclass(frozen=True)
class ByGate(Operation):
    """An array for each gate.

    Attributes:
        names: for each array, the names of its parts, in the order i, f, c, o.
    """

    names: tuple[tuple[str, tuple[str, str, str, str]], ...]

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        return {
            part: block
            for name, parts in self.names
            if name in arrays
            for part, block in zip(parts, np.split(arrays[name], 4, axis=-1), strict=True)
        }

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        whole = {}
        for name, parts in self.names:
            missing = [part for part in parts if part not in arrays]
            if not missing:
                whole[name] = np.concatenate([arrays[part] for part in parts], axis=-1)
            elif name != "bias" or len(missing) < 4:
                raise InputError(f"the arrays lack {listed(map(shown, missing))}; expected one array for each gate")
        return whole

    @property
    def words(self) -> str:
        return "an array for each gate"


@final
@dataclasses.dataclass(frozen=True)
class CuDNN(Operation):
    """The layout of Keras 2's CuDNNLSTM: the block of each gate transposed, and two biases in one array.

    The inverse is `_convert_rnn_weights` of tf-keras (tf_keras/saving/legacy/hdf5_format.py). Each bias is half of
    Keras's, as there; the way back adds both. Both have the same gradient.

    Attributes:
        gradients: whether the arrays are gradients.
        gates: the number of gates; a CuDNNGRU has 3 and keeps its two biases, so only its kernels are converted.
    """

    gradients: bool = False
    gates: int = 4

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        kernels = {
            "kernel": _by_block(arrays["kernel"], self.gates, lambda block: block.T.reshape(block.shape)),
            "recurrent_kernel": _by_block(arrays["recurrent_kernel"], self.gates, np.transpose),
        }
        if "bias" not in arrays:
            return kernels
        return {**kernels, "bias": np.tile(arrays["bias"] if self.gradients else arrays["bias"] / 2, 2)}

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        kernels = {
            "kernel": _by_block(arrays["kernel"], self.gates, lambda block: block.T.reshape(block.shape, order="F")),
            "recurrent_kernel": _by_block(arrays["recurrent_kernel"], self.gates, np.transpose),
        }
        if "bias" not in arrays:
            return kernels
        first, second = np.split(arrays["bias"], 2)
        return {**kernels, "bias": first if self.gradients else first + second}

    def for_gradients(self) -> Operation:
        return dataclasses.replace(self, gradients=True)

    @property
    def words(self) -> str:
        return "each gate's block transposed; two biases, added"


@final
@dataclasses.dataclass(frozen=True)
class Rename(Operation):
    """Other names.

    Attributes:
        names: pairs of the name before and after.
    """

    names: tuple[tuple[str, str], ...]

    def apply(self, arrays: Arrays) -> dict[str, Array]:
        return {after: arrays[before] for before, after in self.names if before in arrays}

    def undo(self, arrays: Arrays) -> dict[str, Array]:
        return {before: arrays[after] for before, after in self.names if after in arrays}

    @property
    def words(self) -> str:
        return ""


def _blocks(array: Array, order: list[int]) -> Array:
    """Return the array with the four blocks of its last axis in another order."""
    blocks = np.split(array, 4, axis=-1)
    return np.concatenate([blocks[place] for place in order], axis=-1)


def _by_block(array: Array, gates: int, change: Callable[[Array], Array]) -> Array:
    return np.concatenate([change(block) for block in np.split(array, gates, axis=-1)], axis=-1)


def _with_forget(arrays: Arrays, added: float) -> dict[str, Array]:
    """Return the arrays with a constant added to the bias of gate f, in Keras's order of gates."""
    if "bias" not in arrays:
        return dict(arrays)
    bias = arrays["bias"].copy()
    units = len(bias) // 4
    bias[units : 2 * units] += added
    return {**arrays, "bias": bias}
