"""LSTM weights in the layout of another framework: `to_dialect` and its inverse `from_dialect`.

A stack is a list of layers, each a list of one or two directions, each an `LSTMWeights`. The second direction reads the
sequence from its end. Two directions are concatenated before the next layer reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from multilstm.conversion.dialects import DIALECTS, Dialect
from multilstm.errors import InputError, choice, listed, shown
from multilstm.spec.arrays import Array, as_array, by_name

__all__ = ["LSTMWeights", "Stack", "from_dialect", "to_dialect"]


class LSTMWeights(NamedTuple):
    """The weights of one LSTM in one direction, in Keras's layout.

    Attributes:
        kernel: `[features, 4 * units]`, gates in the order i, f, c, o.
        recurrent_kernel: `[units, 4 * units]`.
        bias: `[4 * units]`; None without a bias.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array | None = None

    @property
    def features(self) -> int:
        """The size of the input."""
        return int(self.kernel.shape[0])

    @property
    def units(self) -> int:
        """The size of the hidden state."""
        return int(self.recurrent_kernel.shape[0])


Stack = Sequence[Sequence[LSTMWeights]]


def to_dialect(stack: Stack | LSTMWeights, dialect: str, *, gradients: bool = False) -> dict[str, Array]:
    """Return the weights in the layout of a framework.

    Args:
        stack: one LSTM, or a list of layers, each a list of one or two directions.
        dialect: a name of `DIALECTS`.
        gradients: whether the arrays are gradients of weights, or optimizer slots such as Adam's moments. A constant
            that a framework adds to a bias then vanishes, and each of two biases has the whole gradient.

    Returns:
        The framework's arrays by name, in the dtype of the weights. A framework without LSTMs that lack a bias gets
        one that acts as zero.

    Raises:
        InputError: for weights whose shapes are not those of an LSTM, or a stack that the layout does not hold.
        UsageError: for an unknown dialect.
    """
    row = _row(dialect)
    layers = [[stack]] if isinstance(stack, LSTMWeights) else [list(layer) for layer in stack]
    _check_stack(layers)
    cells = [[_applied(row, weights, gradients) for weights in layer] for layer in layers]
    match row.placement:
        case "numbered":
            return {
                f"{name}_l{number}{suffix}": array
                for number, layer in enumerate(cells)
                for suffix, cell in zip(("", "_reverse"), layer, strict=False)
                for name, array in cell.items()
            }
        case "packed":
            matrices = [cell[name] for layer in cells for cell in layer for name in ("weight_ih", "weight_hh")]
            biases = [cell[name] for layer in cells for cell in layer for name in ("bias_ih", "bias_hh")]
            return {"weights": np.concatenate([array.ravel() for array in (*matrices, *biases)])}
        case "stacked":
            _one(row, "layer", layers)
            return {name: np.stack([cell[name] for cell in cells[0]]) for name in cells[0][0]}
        case _:
            _one(row, "layer", layers)
            _one(row, "direction", layers[0])
            return cells[0][0]


def from_dialect(
    arrays: Mapping[str, Array],
    dialect: str,
    *,
    features: int | None = None,
    units: int | None = None,
    layers: int = 1,
    directions: int = 1,
    gradients: bool = False,
) -> list[list[LSTMWeights]]:
    """Return the weights of a framework in Keras's layout: the inverse of `to_dialect`.

    Args:
        arrays: the framework's arrays by name.
        dialect: a name of `DIALECTS`.
        features: for `jax-rnn`, whose array has no shape: the size of the input.
        units: for `jax-rnn`: the size of the hidden state.
        layers: for `jax-rnn`: the number of layers.
        directions: for `jax-rnn`: 1 or 2.
        gradients: as in `to_dialect`.

    Returns:
        A list of layers, each a list of directions.

    Raises:
        InputError: for missing or unknown arrays, or shapes that are not those of an LSTM.
        UsageError: for an unknown dialect.
    """
    row = _row(dialect)
    given = {name: as_array(f"array {name!r}", array) for name, array in by_name("arrays", arrays).items()}
    match row.placement:
        case "numbered":
            cells = _numbered(given)
        case "packed":
            cells = _unpacked(given, features, units, layers, directions)
        case "stacked":
            counts = {len(array) if array.ndim else 0 for array in given.values()}
            if counts not in ({1}, {2}):
                raise InputError(
                    f"{dialect}: the first axes are {listed(sorted(counts)) or 'missing'}; expected 1 or 2 directions"
                )
            cells = [[{name: array[k] for name, array in given.items()} for k in range(counts.pop())]]
        case _:
            cells = [[given]]
    stack = [[_undone(dialect, cell, gradients) for cell in layer] for layer in cells]
    _check_stack(stack)
    return stack


def _row(dialect: str) -> Dialect:
    if not isinstance(dialect, str) or dialect not in DIALECTS:
        raise InputError(choice("dialect", dialect, DIALECTS))
    return DIALECTS[dialect]


def _one(row: Dialect, word: str, given: Sequence[object]) -> None:
    if len(given) != 1:
        raise InputError(f"{row.title}: given {len(given)} {word}s; expected one, since each has its own arrays")


def _applied(row: Dialect, weights: LSTMWeights, gradients: bool) -> dict[str, Array]:
    if weights.bias is None and row.always_bias:
        weights = weights._replace(bias=np.zeros(4 * weights.units, weights.kernel.dtype))
    arrays = {name: array for name, array in weights._asdict().items() if array is not None}
    for operation in row.steps(gradients):
        arrays = operation.apply(arrays)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _undone(dialect: str, arrays: Mapping[str, Array], gradients: bool) -> LSTMWeights:
    """Return one LSTM; every array must be one of the dialect's."""
    row = DIALECTS[dialect]
    expected = _names(row)
    unknown = sorted(set(arrays) - set(expected))
    missing = [name for name in expected if name not in arrays and not _of_bias(row, name)]
    biases = [name for name in expected if _of_bias(row, name)]
    if any(name in arrays for name in biases) or row.always_bias:
        missing += [name for name in biases if name not in arrays]
    if unknown or missing:
        raise InputError(
            f"{dialect}: missing arrays: {listed(map(shown, missing)) or 'none'}; unknown: "
            f"{listed(map(shown, unknown)) or 'none'}; expected {listed(map(shown, expected))}"
        )
    current = dict(arrays)
    try:
        for operation in reversed(row.steps(gradients)):
            current = operation.undo(current)
    except (ValueError, IndexError) as error:
        shapes = listed(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise InputError(f"{dialect}: given {shapes}, which are no weights of an LSTM: {error}") from None
    return LSTMWeights(**{name: np.ascontiguousarray(array) for name, array in current.items()})


def _names(row: Dialect) -> dict[str, tuple[int, ...]]:
    """Return the names of the arrays of one LSTM with a bias, and their shapes with one unit and one feature."""
    arrays = {"kernel": np.zeros((1, 4)), "recurrent_kernel": np.zeros((1, 4)), "bias": np.zeros(4)}
    for operation in row.operations:
        arrays = operation.apply(arrays)
    return {name: array.shape for name, array in arrays.items()}


def _of_bias(row: Dialect, name: str) -> bool:
    return len(_names(row)[name]) == 1


def _numbered(arrays: Mapping[str, Array]) -> list[list[dict[str, Array]]]:
    """Return the arrays of each layer and direction, of names such as `weight_ih_l0_reverse`."""
    cells: dict[tuple[int, bool], dict[str, Array]] = {}
    for name, array in arrays.items():
        base, _, place = name.rpartition("_l")
        number = place.removesuffix("_reverse")
        if not base or not number.isdecimal() or len(number) > 4:
            raise InputError(f"torch: given the array {shown(name)}; expected names such as 'weight_ih_l0_reverse'")
        cells.setdefault((int(number), place.endswith("_reverse")), {})[base] = array
    layers = max((number for number, _ in cells), default=-1) + 1
    directions = 2 if any(reverse for _, reverse in cells) else 1
    wanted = [[(number, bool(k)) for k in range(directions)] for number in range(layers)]
    missing = [place for layer in wanted for place in layer if place not in cells]
    if missing or not layers:
        names = [f"layer {number}{' in reverse' if reverse else ''}" for number, reverse in missing]
        raise InputError(f"torch: the arrays lack {listed(names) or 'every layer'}; expected all layers from 0")
    return [[cells[place] for place in layer] for layer in wanted]


def _unpacked(
    arrays: Mapping[str, Array], features: int | None, units: int | None, layers: int, directions: int
) -> list[list[dict[str, Array]]]:
    """Return the arrays of each layer and direction of cuDNN's flat array: all matrices, then all biases."""
    if features is None or units is None or set(arrays) != {"weights"}:
        raise InputError(
            f"jax-rnn: given the arrays {listed(map(shown, arrays))}, features={features} and units={units}; expected "
            f"one flat array 'weights', and both sizes"
        )
    flat = arrays["weights"].ravel()
    shapes = [
        shape
        for number in range(layers)
        for _ in range(directions)
        for shape in ((4 * units, directions * units if number else features), (4 * units, units))
    ] + [(4 * units,)] * (2 * layers * directions)
    sizes = [int(np.prod(shape)) for shape in shapes]
    if sum(sizes) != flat.size:
        raise InputError(
            f"jax-rnn: given {flat.size} numbers; expected {sum(sizes)} for {features=}, {units=}, {layers=}"
        )
    blocks = [block.reshape(shape) for block, shape in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes, strict=True)]
    matrices, biases = blocks[: 2 * layers * directions], blocks[2 * layers * directions :]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cells = [
        dict(zip(names, (*matrices[2 * k : 2 * k + 2], *biases[2 * k : 2 * k + 2]), strict=True))
        for k in range(layers * directions)
    ]
    return [cells[k * directions : (k + 1) * directions] for k in range(layers)]


def _check_stack(layers: Stack) -> None:
    """Raise InputError for shapes that are not those of a stack of LSTMs."""
    if not layers or any(len(layer) not in (1, 2) for layer in layers):
        raise InputError(
            f"given {listed(len(layer) for layer in layers) or 'no'} directions; expected 1 or 2 in a layer"
        )
    below: int | None = None
    for number, layer in enumerate(layers):
        for weights in layer:
            units = weights.units if np.ndim(weights.recurrent_kernel) == 2 else 0
            features = below if below is not None else weights.features if np.ndim(weights.kernel) == 2 else 0
            expected = {"kernel": (features, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}
            for name, array in weights._asdict().items():
                if array is not None and np.shape(array) != expected[name]:
                    raise InputError(
                        f"layer {number}: {name} has the shape {np.shape(array)}, expected {expected[name]}"
                    )
        below = sum(weights.units for weights in layer)
