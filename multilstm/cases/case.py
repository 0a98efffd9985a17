"""A case: a model, its data and its program, as frozen data with a unique name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Protocol

from multilstm.cases.families import family_of
from multilstm.jobs.dtypes import DTYPES
from multilstm.jobs.job import Batch, Step
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import Optimizer
from multilstm.weights.initializers import discriminating_weights

UPDATES = 100
MILESTONES = (1, 10, UPDATES)  # the updates after which weights and optimizer slots are compared
KEPT = ("outputs", "sequences", "states")


class Recipe(Protocol):
    """A source of batches: equal ones at every call, from NumPy and a seed."""

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch, in order; float32 represents all their values exactly."""
        ...

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        ...


@dataclasses.dataclass(frozen=True)
class Fit:
    """A stage of a training: `epochs` passes over the data, each followed by a validation if there is one."""

    data: Recipe
    epochs: int = 1
    validation: Recipe | None = None


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """A stage of a training: the loss on other data."""

    data: Recipe


@dataclasses.dataclass(frozen=True)
class Case:
    """One model, its data and its program.

    Attributes:
        name: unique in the catalogue.
        description: one line for a reader.
        spec: the model.
        forward: batches for the forward pass. States are carried from one to the next. Then the first batch is repeated
            after a reset.
        loss: the loss of every output; None for a case without gradients.
        optimizer: the optimizer of the program; None for a case without training.
        training: the program: its stages in order.
        updates_on: the batches of exactly 100 updates, repeated as needed. None if the program makes as many, or if
            another case makes them with the same model and optimizer.
        trained_in: the dtypes in which gradients and training are compared.
        shortened: a description of what was left out, for a reader; empty for a full program.
        seed: the seed of the weights, if none are given.
        weights: every weight by `layer/weight`; None: random ones, never constant or symmetric.
        origin: the program that wrote a user's model, in a sentence; empty if unknown.
        generation: the generation of Keras that made a user's model, from 0 to 3; None if unknown, or of no Keras.
        example: whether loss and training only stand for those that a user will choose.
        exact_in_float32: whether float32 represents all values exactly. Then one reference serves both dtypes.
    """

    name: str
    description: str
    spec: Graph
    forward: Recipe
    loss: str | None = None
    optimizer: Optimizer | None = None
    training: tuple[Fit | Evaluate, ...] = ()
    updates_on: Recipe | None = None
    trained_in: tuple[str, ...] = DTYPES
    shortened: str = ""
    seed: int = 0
    weights: Mapping[str, Array] | None = None
    exact_in_float32: bool = True
    example: bool = False
    origin: str = ""
    generation: int | None = None

    @functools.cached_property
    def initial_weights(self) -> Mapping[str, Array]:
        """The weights with which every engine starts: the case's own, or those that its seed makes."""
        return self.weights if self.weights is not None else discriminating_weights(self.spec, self.seed)

    @property
    def is_judged(self) -> bool:
        """Whether the reference computes the model; else engines are compared with each other."""
        return not self.spec.opaque

    @property
    def family(self) -> str:
        """The family in the catalogue, one of `FAMILIES`; empty for a case of a user's model."""
        return family_of(self.name)

    @property
    def updates(self) -> int:
        """The number of updates in the program."""
        return sum(stage.epochs * len(stage.data) for stage in self.training if isinstance(stage, Fit))

    def forward_steps(self) -> Iterator[Step]:
        """Yield an inference over all forward batches with carried states, then one over the first after a reset."""
        batches = [dataclasses.replace(batch, targets=()) for batch in self.forward.batches()]
        for index, batch in enumerate(batches):
            yield Step("forward", batch, reset=index == 0, keep=KEPT)
        if any(layer.stateful for layer in self.spec.recurrent.values()):
            yield Step("forward", batches[0], reset=True, keep=KEPT)

    def gradient_steps(self) -> Iterator[Step]:
        """Yield one step: the gradient of the loss on the first forward batch."""
        yield Step("gradient", next(self.forward.batches()), reset=True, keep=("gradients",))

    def training_steps(self) -> Iterator[Step]:
        """Yield the program. States are reset before each epoch, and before and after a validation or evaluation."""
        for stage in self.training:
            if isinstance(stage, Evaluate):
                yield from _pass("evaluate", stage.data, 0)
                continue
            for epoch in range(stage.epochs):
                yield from _pass("update", stage.data, epoch)
                if stage.validation is not None:
                    yield from _pass("evaluate", stage.validation, 0)

    def update_steps(self) -> Iterator[Step]:
        """Yield exactly 100 updates, in passes over the same batches."""
        assert self.updates_on is not None
        count = 0
        while count < UPDATES:
            for step in _pass("update", self.updates_on, 0):
                count += 1
                if count in MILESTONES:
                    step = dataclasses.replace(step, keep=(*step.keep, "weights", "slots"))
                if count <= UPDATES:
                    yield step


def _pass(kind: str, data: Recipe, epoch: int) -> Iterator[Step]:
    """Yield one pass over the data, with a reset before its first step."""
    for index, batch in enumerate(data.batches(epoch)):
        yield Step(kind, batch, reset=index == 0, keep=("states",) if batch.states else ())  # type: ignore[arg-type]
