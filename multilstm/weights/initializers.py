"""Weights in Keras's layout, from NumPy and a seed, so that every engine starts from the same bits.

The initialisers have the distributions of Keras's (keras/src/initializers/random_initializers.py of Keras 3.15), with
other random numbers. All weights are float32 values, which float64 holds exactly. Every weight has its own random
generator, made from the seed and the weight's name, so that another layer changes no other weight.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from multilstm.errors import InputError, shown
from multilstm.frameworks.machine import memory
from multilstm.spec import LSTM, ConvLSTM2D, Graph
from multilstm.spec.arrays import Array
from multilstm.weights.time_limit import check_time

__all__ = ["INITIALISERS", "PARAMETER_LIMIT", "Initialiser", "discriminating_weights", "initial_weights"]

Initialiser = Callable[[np.random.Generator, Sequence[int]], Array]

# The standard deviation of a standard normal distribution cut off at 2, by which Keras divides.
TRUNCATED_STDDEV = 0.87962566103423978
BLOCK = 256  # columns of a QR decomposition
PARAMETER_LIMIT = 2**31  # 8 GiB of float32


def zeros(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return float64 zeros, `shape`."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return float64 ones, `shape`."""
    return np.ones(shape)


def random_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw uniformly from [-0.05, 0.05), `shape`; Keras's `uniform`, the default of an Embedding."""
    return rng.uniform(-0.05, 0.05, shape)


def random_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw normally with mean 0 and standard deviation 0.05, `shape`."""
    return rng.normal(0.0, 0.05, shape)


def truncated_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw standard normal numbers, and again those whose magnitude is above 2, `shape`."""
    values = rng.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(np.count_nonzero(beyond))
    return values


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return the fan-in and the fan-out of a weight; both are a bias's length. A window multiplies both."""
    if len(shape) < 2:
        return (shape[0], shape[-1])
    window = math.prod(shape[:-2])
    return (window * shape[-2], window * shape[-1])


def _uniform(rng: np.random.Generator, shape: Sequence[int], variance: float) -> Array:
    limit = math.sqrt(3 * variance)
    return rng.uniform(-limit, limit, shape)


def _normal(rng: np.random.Generator, shape: Sequence[int], variance: float) -> Array:
    return truncated_normal(rng, shape) * (math.sqrt(variance) / TRUNCATED_STDDEV)


def glorot_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw uniformly with variance 2 / (fan_in + fan_out), `shape` (Glorot and Bengio 2010)."""
    return _uniform(rng, shape, 2 / sum(_fans(shape)))


def glorot_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw from a truncated normal of variance 2 / (fan_in + fan_out), `shape` (Glorot and Bengio 2010)."""
    return _normal(rng, shape, 2 / sum(_fans(shape)))


def he_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw uniformly with variance 2 / fan_in, `shape` (https://arxiv.org/abs/1502.01852)."""
    return _uniform(rng, shape, 2 / _fans(shape)[0])


def he_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw from a truncated normal of variance 2 / fan_in, `shape` (https://arxiv.org/abs/1502.01852)."""
    return _normal(rng, shape, 2 / _fans(shape)[0])


def lecun_uniform(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw uniformly with variance 1 / fan_in, `shape` (LeCun et al. 1998)."""
    return _uniform(rng, shape, 1 / _fans(shape)[0])


def lecun_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw from a truncated normal of variance 1 / fan_in, `shape` (LeCun et al. 1998)."""
    return _normal(rng, shape, 1 / _fans(shape)[0])


def orthogonal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Draw orthonormal rows or columns, whichever are fewer, `shape` (https://arxiv.org/abs/1312.6120).

    All axes but the last are the rows.

    Q of the QR decomposition of random numbers, with a positive diagonal of R: only then is its distribution uniform.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q = rng.standard_normal((max(rows, columns), min(rows, columns)))
    for start in range(0, q.shape[1], BLOCK):
        q[:, start : start + BLOCK] = _orthonormal(q[:, start : start + BLOCK], q[:, :start])
    return (q if rows >= columns else q.T).reshape(shape)


def _orthonormal(columns: Array, earlier: Array) -> Array:
    """Make the next columns of Q, from their random numbers and the columns before them.

    A decomposition of the whole matrix takes minutes in one call of LAPACK, which no signal interrupts. Here every call
    takes less than a second. A second pass of Gram-Schmidt removes the rounding errors of the first.

    Args:
        columns: random numbers, `[rows, at most BLOCK]`.
        earlier: the orthonormal columns so far, `[rows, any number]`.
    """
    for _ in range(2):
        for start in range(0, earlier.shape[1], BLOCK):
            check_time()
            block = earlier[:, start : start + BLOCK]
            columns = columns - block @ (block.T @ columns)
    q, r = np.linalg.qr(columns)
    signed: Array = q * np.sign(np.diag(r))
    return signed


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
    """Return all weights of a model as Keras would initialise them, the bias of the forget gate one.

    Args:
        graph: the model.
        seed: an integer, 0 or above.

    Returns:
        float32 arrays in Keras's layout and order, by `layer/weight`.

    Raises:
        InputError: for another seed, more than 2**31 parameters, or more than the memory of this machine holds.
    """
    return {name: values.astype(np.float32) for name, values in _initial(graph, seed).items()}


def discriminating_weights(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Return weights that reveal a wrong gate order: `initial_weights` with noise on all constant weights.

    Keras's initial biases are 0 and 1, and such weights hide faults. An engine that adds the bias of one gate to
    another still gives the right answer if both are equal. So uniform(-0.25, 0.25) noise is added to every bias and to
    every weight with a constant initialiser. No two gates have the same numbers anywhere.

    Args:
        graph: the model.
        seed: an integer, 0 or above.

    Returns:
        float32 arrays in Keras's layout and order, by `layer/weight`.

    Raises:
        InputError: as `initial_weights`.
    """
    weights = _initial(graph, seed)
    for name, values in weights.items():
        layer, weight = graph.owner(name)
        if weight == "bias" or getattr(layer, f"{weight}_initializer") in ("zeros", "ones"):
            weights[name] = values + _generator(seed, name, "noise").uniform(-0.25, 0.25, values.shape)
    return {name: values.astype(np.float32) for name, values in weights.items()}


def _initial(graph: Graph, seed: int) -> dict[str, Array]:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: given {shown(seed)}; expected an integer, 0 or above")
    if graph.parameter_count > PARAMETER_LIMIT:
        raise InputError(
            f"model {graph.name!r} has {graph.parameter_count:,} parameters; expected at most {PARAMETER_LIMIT:,} "
            f"(8 GiB of float32); give it fewer units"
        )
    _check_memory(graph)
    weights = {}
    for name, shape in graph.weight_shapes.items():
        check_time()
        layer, weight = graph.owner(name)
        initialise, rng = INITIALISERS[getattr(layer, f"{weight}_initializer")], _generator(seed, name)
        if weight == "bias" and isinstance(layer, (LSTM, ConvLSTM2D)) and layer.unit_forget_bias:
            # As Keras: i; f, all ones; c and o in one draw. A fan of this bias is therefore not 4 * units.
            units = layer.units
            parts = (initialise(rng, (units,)), np.ones(units), initialise(rng, (2 * units,)))
            weights[name] = np.concatenate(parts)
        else:
            weights[name] = initialise(rng, shape)
    return weights


def _check_memory(graph: Graph) -> None:
    """Raise InputError for a model whose weights, and the copies made on the way, exceed the memory of this machine."""
    largest = max(map(math.prod, graph.weight_shapes.values()), default=0)
    needed = 12 * graph.parameter_count + 24 * largest  # float64 and float32; and of the largest Q, R and a copy
    if needed > memory():
        raise InputError(
            f"model {graph.name!r} has {graph.parameter_count:,} parameters: drawing them needs about "
            f"{needed // 2**30:,} GiB, this machine has {memory() // 2**30:,} GiB; give it fewer units"
        )


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])
