"""The shapes of published benchmarks: stacks of LSTMs, each a model with its data."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from multilstm.bench.flops import forward_flops
from multilstm.bench.workload import Workload, model_workload
from multilstm.spec import LSTM, Bidirectional, Graph, Layer, Masking, Sequential

__all__ = ["Published", "Shape", "drawn_shapes"]

# The ranges of drawn shapes, and their largest numbers of operations in a forward pass and of inputs and gates.
RANGES = {"batch": (1, 700), "timesteps": (6, 500), "features": (1, 500), "units": (8, 600)}
LARGEST_FLOPS, LARGEST_SIZE = 3e10, 3e7


@dataclasses.dataclass(frozen=True)
class Published:
    """A published time of one shape.

    Attributes:
        mode: the mode of this package that computes the same.
        milliseconds: the time of one call.
        implementation: the program that was timed.
        hardware: the machine.
        source: the publication.
    """

    mode: str
    milliseconds: float
    implementation: str
    hardware: str
    source: str


@dataclasses.dataclass(frozen=True)
class Shape:
    """One problem: layers of LSTM(units, return_sequences=True) over `[batch, timesteps, features]`.

    Attributes:
        batch: number of sequences.
        timesteps: number of timesteps of each sequence.
        features: number of features of the input.
        units: number of units of every layer, in each direction.
        layers: number of layers; each layer's input is the output of the layer before.
        bidirectional: whether each layer runs in both directions and concatenates the outputs.
        padded: whether a Masking reads the input, and every second sequence ends at half of the timesteps.
        source: publication of the shape.
        published: published times.
    """

    batch: int
    timesteps: int
    features: int
    units: int
    layers: int = 1
    bidirectional: bool = False
    padded: bool = False
    source: str = ""
    published: tuple[Published, ...] = ()

    @property
    def name(self) -> str:
        """Batch, timesteps, features and units, for example `32x1000x123x320-4-bidirectional`."""
        parts = [f"{self.batch}x{self.timesteps}x{self.features}x{self.units}"]
        parts += [str(self.layers)] * (self.layers > 1) + ["bidirectional"] * self.bidirectional
        return "-".join([*parts, *["padded"] * self.padded])

    @property
    def spec(self) -> Graph:
        """The model."""
        layers: list[Layer] = [Masking()] if self.padded else []
        for _ in range(self.layers):
            layer = LSTM(self.units, return_sequences=True)
            layers.append(Bidirectional(layer) if self.bidirectional else layer)
        return Sequential(layers, input_shape=(None, self.features))

    def workload(self, batches: int) -> Workload:
        """Return the model with its data.

        Args:
            batches: the number of batches of a call of `predict` or `fit`.
        """
        made = model_workload(self.name, self.spec, None, self.batch, self.timesteps, batches)
        return dataclasses.replace(made, source=self.source)


def drawn_shapes(seed: int, count: int) -> tuple[Shape, ...]:
    """Return random shapes: each size is log-uniform in its range.

    A shape beyond `LARGEST_FLOPS` or `LARGEST_SIZE` is drawn again.

    Args:
        seed: the random seed; each seed gives other shapes.
        count: the number of shapes.
    """
    rng = np.random.default_rng(seed)
    shapes: dict[str, Shape] = {}
    while len(shapes) < count:
        sizes = {name: round(math.exp(rng.uniform(math.log(a), math.log(b)))) for name, (a, b) in RANGES.items()}
        batch, timesteps, features, units = (sizes[name] for name in RANGES)
        shape = Shape(batch, timesteps, features, units, source=f"drawn, seed {seed}")
        size = shape.batch * shape.timesteps * (shape.features + 4 * shape.units)
        if size <= LARGEST_SIZE and forward_flops(shape.spec, shape.batch, shape.timesteps) <= LARGEST_FLOPS:
            shapes[shape.name] = shape
    return tuple(shapes.values())
