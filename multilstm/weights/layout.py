"""The layout of an LSTM's weights: views of the four gates, and checks of names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from multilstm.errors import InputError, listed
from multilstm.spec import Graph
from multilstm.spec.arrays import as_array, by_name

__all__ = ["Gates", "check_weight_shapes", "check_weights", "gates"]


class Gates(NamedTuple):
    """One array for each gate of an LSTM, in Keras's order i, f, c, o."""

    input: Any
    forget: Any
    cell: Any
    output: Any


def gates(array: Any, units: int | None = None) -> Gates:
    """Return the four gates of a weight (or of any array whose last axis holds them), as views.

    Args:
        array: `kernel [features, 4 * units]`, `recurrent_kernel [units, 4 * units]` or `bias [4 * units]`.
        units: the layer's units, which are checked; None: a quarter of the last axis.

    Returns:
        Four arrays `[..., units]`.

    Raises:
        InputError: where the last axis does not hold four gates.
    """
    if not hasattr(array, "shape"):
        raise InputError(f"gates: given {type(array).__name__}, expected an array")
    size = array.shape[-1] if len(array.shape) else 0
    width = size // 4 if units is None else units
    if not width or size != 4 * width:
        expected = "a last axis of 4 * units" if units is None else f"a last axis of 4 * {units} = {4 * units}"
        raise InputError(f"gates: given an array of shape {tuple(array.shape)}; expected {expected}")
    return Gates(*(array[..., k * width : (k + 1) * width] for k in range(4)))


def check_weights(graph: Graph, weights: Mapping[str, Any]) -> None:
    """Check the weights of a model: names, shapes, dtypes, finite values, in this order.

    Args:
        graph: the model.
        weights: arrays by `layer/weight`.

    Raises:
        InputError: naming the weight, the given and the expected value.
    """
    check_weight_shapes(graph, weights)
    for name in graph.weight_shapes:
        given = np.asarray(weights[name])
        if given.dtype.kind != "f":
            raise InputError(f"weight {name!r}: given dtype {given.dtype}, expected float32 or float64; convert it")
        if not np.isfinite(given).all():
            first = tuple(int(k) for k in np.argwhere(~np.isfinite(given))[0])
            raise InputError(
                f"weight {name!r}: given {given[first]} at {list(first)}, expected finite numbers; the training of "
                f"these weights may have diverged"
            )


def check_weight_shapes(graph: Graph, weights: Mapping[str, Any]) -> None:
    """Check the names and shapes of the weights of a model.

    Args:
        graph: the model.
        weights: arrays by `layer/weight`.

    Raises:
        InputError: naming the weight, the given and the expected value.
    """
    shapes = graph.weight_shapes
    by_name(f"weights of model {graph.name!r}", weights)
    missing, unknown = sorted(set(shapes) - set(weights)), sorted(set(weights) - set(shapes), key=str)
    if missing or unknown:
        lists = {"missing": missing, "unknown": unknown}
        wrong = [f"{label}: {listed(map(repr, names))}" for label, names in lists.items() if names]
        raise InputError(
            f"weights of model {graph.name!r}: {'; '.join(wrong)}; expected {listed(map(repr, shapes)) or 'none'}"
        )
    for name, shape in shapes.items():
        given = as_array(f"weight {name!r}", weights[name])
        if given.shape != shape:
            raise InputError(
                f"weight {name!r}: given shape {given.shape}, expected {shape}, in Keras's layout"
                + ("; it looks transposed" if given.shape == shape[::-1] else "")
            )
