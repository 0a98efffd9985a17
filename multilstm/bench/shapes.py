"""Published shapes of the benchmark, and the arrays that every contestant gets for a shape."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from multilstm.spec.arrays import Array
from multilstm.weights.initializers import glorot_uniform, orthogonal


@dataclasses.dataclass(frozen=True)
class Shape:
    """One problem: layers of LSTM(units, return_sequences=True) over `[batch, timesteps, features]`.

    Attributes:
        batch: number of sequences.
        timesteps: number of timesteps of each sequence; of the longest one if `shortest` is given.
        features: number of features of the input.
        units: number of units of every layer, in each direction.
        layers: number of layers; each layer's input is the output of the layer before.
        bidirectional: whether each layer runs in both directions and concatenates the outputs.
        shortest: the shortest length of a ragged batch, or None. Lengths are spread evenly from `shortest` to
            `timesteps`, in random order; the padding is on the right.
        source: publication of the shape.
    """

    batch: int
    timesteps: int
    features: int
    units: int
    layers: int = 1
    bidirectional: bool = False
    shortest: int | None = None
    source: str = ""

    @property
    def name(self) -> str:
        """Batch, timesteps, features and units, for example `32x1000x123x320-4-bidirectional`."""
        timesteps = str(self.timesteps) if self.shortest is None else f"{self.shortest}..{self.timesteps}"
        parts = [f"{self.batch}x{timesteps}x{self.features}x{self.units}"]
        parts += [str(self.layers)] * (self.layers > 1) + ["bidirectional"] * self.bidirectional
        return "-".join(parts)

    @property
    def directions(self) -> int:
        """2 for a bidirectional layer, else 1."""
        return 2 if self.bidirectional else 1

    def flops(self) -> int:
        """Return the operations of one forward pass's matrix products, `8 B T U (F + U)` for each direction."""
        lengths = self.batch * self.timesteps if self.shortest is None else int(self.lengths().sum())
        inputs = [self.features] + [self.directions * self.units] * (self.layers - 1)
        return sum(8 * lengths * self.units * (size + self.units) * self.directions for size in inputs)

    def lengths(self) -> Array:
        """Return the length of each sequence, int `[batch]`."""
        if self.shortest is None:
            return np.full(self.batch, self.timesteps)
        even = np.linspace(self.shortest, self.timesteps, self.batch).round().astype(int)
        return np.random.default_rng(0).permutation(even)


_STEFBRAUN = "stefbraun, arXiv:1806.01818"
SHAPES: tuple[Shape, ...] = (
    Shape(64, 100, 123, 320, source=_STEFBRAUN),
    Shape(32, 1000, 123, 320, source=_STEFBRAUN),
    Shape(32, 1000, 123, 320, layers=4, bidirectional=True, source=_STEFBRAUN),
    Shape(200, 50, 100, 100, source="seed 1"),
    Shape(64, 8, 16, 32, layers=3, source="seed 2"),
    Shape(1000, 55, 5, 32, source="seed 5"),
    Shape(10, 96, 2, 8, source="seed 3"),
    Shape(1, 100, 64, 256, source="latency"),
    Shape(1, 1000, 128, 512, source="latency"),
    Shape(64, 25, 512, 512, source="DeepBench"),
    Shape(16, 1024, 768, 768, source="FlashRNN, arXiv:2412.07752"),
    Shape(32, 1000, 123, 320, shortest=500, source="ragged"),
    Shape(32, 750, 123, 320, source="as many steps as the ragged one, none of them padding"),
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """The arrays of one shape, drawn from a seed; every contestant gets the same.

    Attributes:
        shape: the shape.
        x: input `[batch, timesteps, features]`, 0 in the padding.
        weights: tuples by layer, by direction, of (kernel, recurrent_kernel, bias) in Keras's layout.
        cotangent: `[batch, timesteps, directions * units]`, 0 in the padding; the loss is
            `sum(sequence * cotangent)`.
        lengths: int `[batch]`, or None if no sequence is padded.
    """

    shape: Shape
    x: Array
    weights: tuple[tuple[tuple[Array, Array, Array], ...], ...]
    cotangent: Array
    lengths: Array | None

    @property
    def mask(self) -> Array | None:
        """The mask of real timesteps, boolean `[batch, timesteps]`, or None."""
        return None if self.lengths is None else np.arange(self.shape.timesteps) < self.lengths[:, None]


def problem(shape: Shape, dtype: str = "float32", seed: int = 0) -> Problem:
    """Return the arrays of a shape."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((shape.batch, shape.timesteps, shape.features)).astype("float32")
    width = shape.directions * shape.units
    cotangent = rng.standard_normal((shape.batch, shape.timesteps, width)).astype("float32")
    weights = tuple(
        tuple(_weights(rng, shape.features if layer == 0 else width, shape.units) for _ in range(shape.directions))
        for layer in range(shape.layers)
    )
    lengths = None if shape.shortest is None else shape.lengths()
    result = Problem(shape, x, weights, cotangent, lengths)
    if result.mask is not None:
        real = result.mask[..., None]
        result = dataclasses.replace(result, x=x * real, cotangent=cotangent * real)
    return _cast(result, dtype)


def _weights(rng: np.random.Generator, features: int, units: int) -> tuple[Array, Array, Array]:
    bias = 0.1 * rng.standard_normal(4 * units)
    bias[units : 2 * units] += 1
    arrays = glorot_uniform(rng, (features, 4 * units)), orthogonal(rng, (units, 4 * units)), bias
    return tuple(array.astype("float32") for array in arrays)  # type: ignore[return-value]


def _cast(arrays: Problem, dtype: str) -> Problem:
    def cast(value: Any) -> Any:
        return tuple(map(cast, value)) if isinstance(value, tuple) else value.astype(dtype)

    return dataclasses.replace(arrays, x=cast(arrays.x), weights=cast(arrays.weights), cotangent=cast(arrays.cotangent))
