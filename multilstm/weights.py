"""Weights in Keras's layout, from NumPy and a seed, so that every engine starts from the same bits.

The initialisers are equal in distribution to Keras's (keras/src/initializers/random_initializers.py of Keras 3.15),
not in their random numbers. All weights are float32 values, which float64 holds exactly. Every weight has a random
generator of its own, made from the seed and the weight's name: a layer more or less changes no other weight.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from multilstm.errors import InputError
from multilstm.spec import LSTM, Graph

Array = np.ndarray
Initialiser = Callable[[np.random.Generator, Sequence[int]], Array]
# The standard deviation of a standard normal cut off at 2: Keras divides by it, so that what is left has the right one.
TRUNCATED_STDDEV = 0.87962566103423978
PARAMETER_LIMIT = 2**31  # 8 GiB of float32


class Gates(NamedTuple):
    """What belongs to each gate of an LSTM, in Keras's order i, f, c, o."""

    input: Any
    forget: Any
    cell: Any
    output: Any


def gates(array: Any, units: int | None = None) -> Gates:
    """The four gates of a weight (or of any array whose last axis holds them), as views: nothing is copied.

    Args:
        array: `kernel [features, 4 * units]`, `recurrent_kernel [units, 4 * units]` or `bias [4 * units]`.
        units: the layer's units, to be checked; None: a quarter of the last axis.

    Returns:
        Four arrays `[..., units]`.

    Raises:
        InputError: where the last axis does not hold four gates.
    """
    size = array.shape[-1] if len(array.shape) else 0
    width = size // 4 if units is None else units
    if not width or size != 4 * width:
        expected = "a last axis of 4 * units" if units is None else f"a last axis of 4 * {units} = {4 * units}"
        raise InputError(f"gates: given an array of shape {tuple(array.shape)}; expected {expected}")
    return Gates(*(array[..., k * width : (k + 1) * width] for k in range(4)))


def zeros(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Zeros of float64, `shape`."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Ones of float64, `shape`."""
    return np.ones(shape)


def random_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Uniform within -0.05 and 0.05, `shape`; Keras's `uniform`, the default of an Embedding."""
    return rng.uniform(-0.05, 0.05, shape)


def random_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Normal with mean 0 and standard deviation 0.05, `shape`."""
    return rng.normal(0.0, 0.05, shape)


def truncated_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Standard normal numbers, those beyond 2 in magnitude drawn anew, `shape`."""
    values = rng.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(np.count_nonzero(beyond))
    return values


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs and outputs a weight of one or two axes joins; a bias counts its own length for both."""
    return (shape[0], shape[-1])


def _uniform(rng: np.random.Generator, shape: Sequence[int], variance: float) -> Array:
    limit = math.sqrt(3 * variance)
    return rng.uniform(-limit, limit, shape)


def _normal(rng: np.random.Generator, shape: Sequence[int], variance: float) -> Array:
    return truncated_normal(rng, shape) * (math.sqrt(variance) / TRUNCATED_STDDEV)


def glorot_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Uniform with variance 2 / (fan_in + fan_out), `shape` (Glorot and Bengio 2010)."""
    return _uniform(rng, shape, 2 / sum(_fans(shape)))


def glorot_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Truncated normal with variance 2 / (fan_in + fan_out), `shape` (Glorot and Bengio 2010)."""
    return _normal(rng, shape, 2 / sum(_fans(shape)))


def he_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Uniform with variance 2 / fan_in, `shape` (https://arxiv.org/abs/1502.01852)."""
    return _uniform(rng, shape, 2 / _fans(shape)[0])


def he_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Truncated normal with variance 2 / fan_in, `shape` (https://arxiv.org/abs/1502.01852)."""
    return _normal(rng, shape, 2 / _fans(shape)[0])


def lecun_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Uniform with variance 1 / fan_in, `shape` (LeCun et al. 1998)."""
    return _uniform(rng, shape, 1 / _fans(shape)[0])


def lecun_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Truncated normal with variance 1 / fan_in, `shape` (LeCun et al. 1998)."""
    return _normal(rng, shape, 1 / _fans(shape)[0])


def orthogonal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Orthonormal rows or columns, whichever are fewer, `shape` of two axes (https://arxiv.org/abs/1312.6120).

    The signs of R's diagonal are moved into Q: without it, the distribution of Q is not uniform.
    """
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return q if rows >= columns else q.T


INITIALISERS: dict[str, Initialiser] = {
    "zeros": zeros,
    "ones": ones,
    "uniform": random_uniform,
    "random_uniform": random_uniform,
    "random_normal": random_normal,
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
}


def initial_weights(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """All weights of a model as Keras would initialise them, the bias of the forget gate one.

    Args:
        graph: the model.
        seed: any integer from 0.

    Returns:
        float32 arrays in Keras's layout and order, by `layer/weight`.

    Raises:
        InputError: for a seed that is none, or a model of more than 2**31 parameters.
    """
    return {name: values.astype(np.float32) for name, values in _initial(graph, seed).items()}


def discriminating_weights(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """`initial_weights` under which a wrong gate order shows: uniform(-0.25, 0.25) noise on all that was constant.

    Keras's initial biases are 0 and 1. Weights like these hide faults: where all biases are equal, an engine that adds
    the bias of one gate to another, or leaves it out, still gives the right answer. So every bias, and every weight
    with a constant initialiser, gets noise of its own; no two gates have the same numbers anywhere.

    Args:
        graph: the model.
        seed: any integer from 0.

    Returns:
        float32 arrays in Keras's layout and order, by `layer/weight`.
    """
    found = _initial(graph, seed)
    for name, values in found.items():
        layer, weight = graph.owner(name)
        if weight == "bias" or getattr(layer, f"{weight}_initializer") in ("zeros", "ones"):
            found[name] = values + _generator(seed, name, "noise").uniform(-0.25, 0.25, values.shape)
    return {name: values.astype(np.float32) for name, values in found.items()}


def _initial(graph: Graph, seed: int) -> dict[str, Array]:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: given {seed!r}; expected an integer from 0")
    if graph.parameter_count > PARAMETER_LIMIT:
        raise InputError(
            f"model {graph.name!r} has {graph.parameter_count:,} parameters; expected at most {PARAMETER_LIMIT:,} "
            f"(8 GiB of float32); give it fewer units"
        )
    found = {}
    for name, shape in graph.weight_shapes.items():
        layer, weight = graph.owner(name)
        initialise, rng = INITIALISERS[getattr(layer, f"{weight}_initializer")], _generator(seed, name)
        if weight == "bias" and isinstance(layer, LSTM) and layer.unit_forget_bias:
            # As Keras: i; f, all ones; c and o in one draw. A fan of this bias is therefore not 4 * units.
            units = layer.units
            parts = (initialise(rng, (units,)), np.ones(units), initialise(rng, (2 * units,)))
            found[name] = np.concatenate(parts)
        else:
            found[name] = initialise(rng, shape)
    return found


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])


def check_weights(graph: Graph, weights: Mapping[str, Any]) -> None:
    """Checks that `weights` are those of the model: names, shapes, dtypes, finite values, in this order.

    Raises:
        InputError: naming the weight, what was given and what was expected.
    """
    check_weight_shapes(graph, weights)
    for name in graph.weight_shapes:
        given = np.asarray(weights[name])
        if given.dtype.kind != "f":
            raise InputError(f"weight {name!r}: given dtype {given.dtype}, expected float32 or float64; convert it")
        if not np.isfinite(given).all():
            first = tuple(int(k) for k in np.argwhere(~np.isfinite(given))[0])
            raise InputError(
                f"weight {name!r}: given {given[first]} at {list(first)}, expected finite numbers; the training that "
                f"made it may have diverged"
            )


def check_weight_shapes(graph: Graph, weights: Mapping[str, Any]) -> None:
    """Checks that `weights` have the names and shapes of those of the model.

    Raises:
        InputError: naming the weight, what was given and what was expected.
    """
    shapes = graph.weight_shapes
    missing, unknown = sorted(set(shapes) - set(weights)), sorted(set(weights) - set(shapes), key=str)
    if missing or unknown:
        said = [f"{what}: {', '.join(map(repr, names))}" for what, names in
                (("missing", missing), ("unknown", unknown)) if names]  # fmt: skip
        raise InputError(
            f"weights of model {graph.name!r}: {'; '.join(said)}; expected {', '.join(map(repr, shapes)) or 'none'}"
        )
    for name, shape in shapes.items():
        given = np.asarray(weights[name])
        if given.shape != shape:
            raise InputError(
                f"weight {name!r}: given shape {given.shape}, expected {shape}, in Keras's layout"
                + ("; it looks transposed" if given.shape == shape[::-1] else "")
            )


def save_weights(path: str | os.PathLike[str], graph: Graph | None, weights: Mapping[str, Any]) -> None:
    """Writes weights to a safetensors file, which is complete or not there: it is written beside, and renamed.

    Args:
        path: the file; replaced where it exists.
        graph: the model that the weights must fit; None: not checked.
        weights: arrays by `layer/weight`.

    Raises:
        InputError: where the weights do not fit the model, or the file cannot be written.
    """
    if graph is not None:
        check_weights(graph, weights)
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    # In C order and in this machine's byte order: safetensors writes the buffer as it lies.
    plain = {name: np.array(values, np.asarray(values).dtype.newbyteorder("="), order="C")
             for name, values in weights.items()}  # fmt: skip
    try:
        beside.write_bytes(safetensors.numpy.save(plain, {"format": "multilstm"}))
        beside.replace(target)
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        raise InputError(f"weights cannot be written to {str(target)!r}: {_reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def load_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The weights that `save_weights` wrote, by `layer/weight`. Whether they fit a model: see `check_weights`.

    Raises:
        InputError: where the file cannot be read, or is no safetensors file of NumPy's dtypes.
    """
    try:
        data = Path(path).read_bytes()
        found: dict[str, Array] = safetensors.numpy.load(data)
    except KeyError as error:
        raise InputError(
            f"weights cannot be read from {str(path)!r}: NumPy has no dtype {error}; convert them to float32"
        ) from error
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"weights cannot be read from {str(path)!r}: {_reason(error)}") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=lambda pairs: pairs)
    names = [name for name, _ in header]
    if len(set(names)) < len(names):  # safetensors takes the last of them
        raise InputError(f"weights cannot be read from {str(path)!r}: it gives a name twice; write it anew")
    return {name: found[name] for name in names if name in found}


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
