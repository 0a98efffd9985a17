"""The convention of an unknown set of LSTM arrays, found by trying all of them against recorded outputs.

A convention is an order of the gates, the axes of the kernels, the number of biases, and the function of the gates.
Some frameworks also add a constant to the bias of gate f at run time. Each convention is executed on the recorded
inputs. The first timestep rules out most of them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from multilstm.conversion.dialects import DIALECTS, Dialect
from multilstm.conversion.operations import GATES, AddForget, ByGate, CuDNN, Join, Reorder, Transpose
from multilstm.conversion.stack import LSTMWeights, from_dialect
from multilstm.engines.reference import lstm
from multilstm.errors import InputError, listed, shown
from multilstm.explain.recorded import SIGMOIDS
from multilstm.spec import LSTM
from multilstm.spec.arrays import Array, as_array, by_name

__all__ = ["Convention", "Fit", "Reading", "identify", "readings"]

SHARE = 1e-4  # of the largest recorded output: float32 rounding over many timesteps, and digits of a printed file
LOOSE = 20.0  # times SHARE is allowed in the first timestep, so that it rules out nothing by rounding


_BIASES = {0: "no bias", 1: "one bias", 2: "two biases, added"}


def _axes_words(transposed: bool) -> str:
    return f"gates along the {'first' if transposed else 'last'} axis"


class Convention(NamedTuple):
    """The meaning of the arrays of one LSTM.

    Attributes:
        order: the letters of the gates i, f, c, o as the arrays hold them.
        transposed: whether the gates are along the first axis of the kernels.
        joined: whether one kernel serves inputs and hidden state.
        hidden_first: whether its rows of the hidden state come first; in all known layouts, those of the inputs do.
        blocks: whether the block of each gate is transposed, as in Keras 2's CuDNNLSTM.
        biases: the number of biases, which are added.
        added: the constant that is added to the bias of gate f at run time.
        recurrent_activation: the function of the gates i, f and o.
    """

    order: str
    transposed: bool
    joined: bool
    hidden_first: bool
    blocks: bool
    biases: int
    added: float
    recurrent_activation: str

    @property
    def words(self) -> str:
        """The convention in words."""
        axes = "the block of each gate transposed" if self.blocks else _axes_words(self.transposed)
        kernel = f"one kernel, {'hidden state' if self.hidden_first else 'inputs'} first"
        parts = [f"gates {' '.join(self.order)}", axes, *([kernel] if self.joined else []), _BIASES[self.biases]]
        parts += [f"{self.added:+g} on gate f at run time"] if self.added else []
        return "; ".join([*parts, self.recurrent_activation])

    @property
    def dialects(self) -> tuple[str, ...]:
        """The rows of `DIALECTS` with this convention, apart from the names of the arrays."""
        if self.hidden_first:
            return ()
        layout = (self.order, self.transposed, self.joined, self.blocks, self.added)
        biases = max(self.biases, 1)
        return tuple(n for n, row in DIALECTS.items() if _layout(row) == layout and row.bias_count == biases)


class Fit(NamedTuple):
    """A convention that gives the recorded outputs.

    Attributes:
        convention: the convention.
        distance: the largest difference from the recorded outputs.
        weights: the weights in Keras's layout, the constant of gate f included in the bias.
    """

    convention: Convention
    distance: float
    weights: LSTMWeights


class Reading(NamedTuple):
    """A meaning that the shapes of the arrays of one LSTM allow.

    Attributes:
        features: the size of the input.
        units: the size of the hidden state.
        transposed: see `Convention`.
        joined: see `Convention`.
        biases: see `Convention`.
    """

    features: int
    units: int
    transposed: bool
    joined: bool
    biases: int

    @property
    def words(self) -> str:
        """The meaning in words."""
        parts = [_axes_words(self.transposed), *(["one kernel"] if self.joined else []), _BIASES[self.biases]]
        return "; ".join([f"{self.features} features, {self.units} units", *parts])

    @property
    def dialects(self) -> tuple[str, ...]:
        """The rows of `DIALECTS` that have these axes, kernels and biases, apart from the names of the arrays."""
        layout = (self.transposed, self.joined, max(self.biases, 1))
        return tuple(
            name
            for name, row in DIALECTS.items()
            if (_layout(row)[1], _layout(row)[2], row.bias_count) == layout and not _is_by_gate(row)
        )


def identify(arrays: Mapping[str, Array], inputs: Array, outputs: Array) -> tuple[list[Fit], int]:
    """Return the conventions by which the arrays of one LSTM give recorded outputs, the best first.

    Args:
        arrays: the arrays of one LSTM in one direction, by any names.
        inputs: `[batch, timesteps, features]`; the initial states are zero.
        outputs: `[batch, timesteps, units]`, or `[batch, units]` of the last timestep.

    Returns:
        The fits whose largest difference is below 1e-4 of the largest output, and the number of conventions that were
        tried. Several fits mean that these inputs do not separate them.

    Raises:
        InputError: for arrays, inputs and outputs whose shapes do not belong together, that are empty, or that hold NaN
            or infinity.
    """
    given = _given(arrays)
    x, desired = (_checked(n, a).astype(float) for n, a in (("inputs", inputs), ("outputs", outputs)))
    if x.ndim != 3 or desired.ndim not in (2, 3) or desired.shape[:-1] != x.shape[: desired.ndim - 1]:
        raise InputError(
            f"inputs have the shape {x.shape}, outputs {desired.shape}; expected [batch, timesteps, features], and "
            f"[batch, timesteps, units] or [batch, units]"
        )
    candidates = list(_candidates(given, x.shape[-1], desired.shape[-1]))
    if not candidates:
        raise InputError(
            f"given {_shapes(given)}; no LSTM of {x.shape[-1]} features and {desired.shape[-1]} units has these "
            f"arrays; give those of one layer in one direction, and its own inputs and outputs"
        )
    limit = SHARE * np.abs(desired).max(initial=0.0)
    fits = []
    for convention, weights in candidates:
        if desired.ndim == 3 and _distance(convention, weights, x[:, :1], desired[:, :1]) > LOOSE * limit:
            continue
        distance = _distance(convention, weights, x, desired)
        if distance <= limit:
            fits.append(Fit(convention, distance, weights))
    return sorted(fits, key=lambda fit: fit.distance), len(candidates)


def _given(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: _checked(f"array {name!r}", array) for name, array in by_name("arrays", arrays).items()}


def _checked(name: str, given: Array) -> Array:
    """Return an array with numbers that can tell conventions apart."""
    array = as_array(name, given)
    if not array.size:
        raise InputError(
            f"{name}: given the shape {list(array.shape)}, which is empty; expected at least 1 on each axis"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{name}: it holds NaN or infinity, which no comparison tells apart; expected finite numbers")
    return array


def _is_by_gate(row: Dialect) -> bool:
    """Whether a dialect has an array for each gate."""
    return any(isinstance(operation, ByGate) for operation in row.operations)


def _layout(row: Dialect) -> tuple[str, bool, bool, bool, float]:
    kinds = {type(operation): operation for operation in row.operations}
    order = kinds.get(Reorder, Reorder(GATES)).order  # type: ignore[attr-defined]
    added = -kinds[AddForget].added if AddForget in kinds else 0.0  # type: ignore[attr-defined]
    return order, Transpose in kinds, Join in kinds, CuDNN in kinds, added


def readings(arrays: Mapping[str, Array]) -> tuple[list[Reading], list[str]]:
    """Return all that shapes and names of the arrays of one LSTM allow, without recorded outputs.

    Args:
        arrays: the arrays of one LSTM in one direction, by any names.

    Returns:
        The meanings that the shapes allow, and the names of the dialects whose names of arrays these are.

    Raises:
        InputError: for arrays that no LSTM has, that are empty, or that hold NaN or infinity.
    """
    given = _given(arrays)
    named = [name for name in DIALECTS if _is_named(given, name)]
    sizes = {size for array in given.values() for size in array.shape}
    shaped = sorted(
        {
            Reading(features, units, layout.transposed, layout.joined, layout.biases)
            for units in {size // 4 for size in sizes if size % 4 == 0}
            for features in sizes | {size - units for size in sizes if size > units}
            for layout in _layouts(given, features, units)
        }
    )
    if not shaped and not named:
        raise InputError(f"given {_shapes(given)}; no LSTM in one direction has these arrays; give those of one layer")
    return shaped, named


def _shapes(arrays: Mapping[str, Array]) -> str:
    return listed(f"{shown(name)} {list(array.shape)}" for name, array in arrays.items()) or "no arrays"


def _is_named(arrays: Mapping[str, Array], dialect: str) -> bool:
    with contextlib.suppress(InputError):
        return DIALECTS[dialect].placement != "packed" and bool(from_dialect(arrays, dialect))
    return False


class _Layout(NamedTuple):
    """A meaning of unnamed arrays, and the arrays under Keras's names, with gates in the order of the file."""

    transposed: bool
    joined: bool
    hidden_first: bool
    biases: int
    arrays: Mapping[str, Array]


def _layouts(arrays: Mapping[str, Array], features: int, units: int) -> Iterator[_Layout]:
    """Yield the meanings that the shapes allow for an LSTM of these sizes."""
    for meaning in itertools.product(*(_meanings(array.astype(float), units) for array in arrays.values())):
        matrices = [matrix for found, _ in meaning for matrix in found]
        vectors = [vector for _, found in meaning for vector in found]
        if len(vectors) > 2:
            continue
        bias = np.asarray(sum(vectors) if vectors else np.zeros(4 * units))
        for kernel, recurrent, transposed, joined, hidden_first in _kernels(matrices, features, units):
            whole = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
            yield _Layout(transposed, joined, hidden_first, len(vectors), whole)


def _meanings(array: Array, units: int) -> Iterator[tuple[list[Array], list[Array]]]:
    """Yield the matrices and the biases that one array may be.

    The biases of an LSTM of `units` lie in `[4 * units]`, `[8 * units]` or `[2, 4 * units]`, which may also be a matrix
    of two rows. A first axis of size 1 may be that of the directions, or a matrix of one row.
    """
    for part in (array, array[0]) if array.ndim > 1 and len(array) == 1 else (array,):
        if part.ndim == 2:
            yield [part], []
        if part.shape in ((4 * units,), (8 * units,), (2, 4 * units)):
            yield [], list(part.reshape(-1, 4 * units))


def _candidates(arrays: Mapping[str, Array], features: int, units: int) -> Iterator[tuple[Convention, LSTMWeights]]:
    """Yield all conventions that the shapes allow, with the weights in Keras's layout."""
    if len(arrays) > 4:  # an array for each gate, whose names are the only order
        yield from _named(arrays)
        return
    for transposed, joined, hidden_first, biases, given in _layouts(arrays, features, units):
        for blocks, order, added, name in itertools.product(
            (False, True) if not transposed and not joined else (False,),
            map("".join, itertools.permutations(GATES)),
            (0.0, 1.0),
            SIGMOIDS,
        ):
            if blocks and order != GATES:
                continue
            whole = dict(given)
            if blocks:
                whole = {**CuDNN().undo({k: v for k, v in whole.items() if k != "bias"}), "bias": whole["bias"]}
            whole = Reorder(order).undo(whole)
            whole = AddForget(-added).undo(whole)
            found = Convention(order, transposed, joined, hidden_first, blocks, biases, added, name)
            yield found, LSTMWeights(**whole)


def _named(arrays: Mapping[str, Array]) -> Iterator[tuple[Convention, LSTMWeights]]:
    """Yield the conventions of the dialects with an array for each gate, if the arrays have their names."""
    own = {name: array.astype(float) for name, array in arrays.items()}
    for name, row in DIALECTS.items():
        if not _is_by_gate(row):
            continue
        with contextlib.suppress(InputError):
            ((weights,),) = from_dialect(own, name)
            for added, sigmoid in itertools.product((0.0, 1.0), SIGMOIDS):
                arrays = AddForget(-added).undo({k: v for k, v in weights._asdict().items() if v is not None})
                convention = Convention(GATES, Transpose() in row.operations, False, False, False, 1, added, sigmoid)
                yield convention, LSTMWeights(**arrays)


def _kernels(matrices: list[Array], features: int, units: int) -> Iterator[tuple[Array, Array, bool, bool, bool]]:
    """Yield kernel, recurrent kernel, and whether they were transposed, were one, and had the hidden state first."""
    for transposed in (False, True):
        turned = [matrix.T if transposed else matrix for matrix in matrices]
        if len(turned) == 1 and turned[0].shape == (features + units, 4 * units):
            yield turned[0][:features], turned[0][features:], transposed, True, False
            yield turned[0][units:], turned[0][:units], transposed, True, True
        for kernel, recurrent in itertools.permutations(turned, 2):
            if len(turned) == 2 and kernel.shape == (features, 4 * units) and recurrent.shape == (units, 4 * units):
                yield kernel, recurrent, transposed, False, False


def outputs_of(sigmoid: str, weights: LSTMWeights, x: Array) -> Array:
    """Return the outputs `[batch, timesteps, units]` of an LSTM with one of `SIGMOIDS`, from zero states."""
    layer = LSTM(weights.units, recurrent_activation=sigmoid, use_bias=weights.bias is not None)
    arrays = {name: array for name, array in weights._asdict().items() if array is not None}
    return lstm.forward(layer, x, None, arrays, None, {}).sequence


def _distance(convention: Convention, weights: LSTMWeights, x: Array, desired: Array) -> float:
    """Return the largest difference of the outputs from the desired ones."""
    outputs = outputs_of(convention.recurrent_activation, weights, x)
    return float(np.abs((outputs if desired.ndim == 3 else outputs[:, -1]) - desired).max(initial=0.0))
