"""The shapes of published benchmarks: stacks of LSTMs, each a model with its data."""

from __future__ import annotations

import dataclasses

from multilstm.bench.workload import Workload, model_workload
from multilstm.spec import LSTM, Bidirectional, Graph, Layer, Masking, Sequential

__all__ = ["Published", "Shape"]


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
