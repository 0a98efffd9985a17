"""A case: a model, the data, and what to do with them, as frozen data with a unique name."""

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
MILESTONES = (1, 10, UPDATES)  # the updates after which weights and optimizer slots are looked at
KEPT = ("outputs", "sequences", "states")


class Recipe(Protocol):
    """Makes batches from NumPy and a seed: the same ones whenever it is asked."""

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, in order; all arrays hold values that float32 holds exactly."""
        ...

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        ...


@dataclasses.dataclass(frozen=True)
class Fit:
    """A part of a training: `epochs` passes over the data, each followed by the validation, if there is one."""

    data: Recipe
    epochs: int = 1
    validation: Recipe | None = None


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """A part of a training: the loss on other data."""

    data: Recipe


@dataclasses.dataclass(frozen=True)
class Case:
    """One model and what to do with it.

    Attributes:
        name: unique in the catalogue.
        description: one line for a reader.
        spec: the model.
        forward: batches that pass through the model one after the other, states carried; then the first again, reset.
        loss: of every output; None for a case without gradients.
        optimizer: the program's own; None for a case without training.
        training: the program: what is fitted and evaluated, in order.
        updates_on: the batches of exactly 100 updates, over and over; None where another case makes them with the same
            model and optimizer, or the program itself makes as many.
        trained_in: the dtypes in which gradients and training are compared.
        shortened: how the program was shortened, for a reader; empty where it is whole.
        seed: of the weights, where none are given.
        weights: every weight by `layer/weight`; None: made from the seed, none of them constant or symmetric.
        exact_in_float32: whether all arrays hold values that float32 holds exactly, so that one reference serves both
            dtypes.
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

    @functools.cached_property
    def initial_weights(self) -> Mapping[str, Array]:
        """The weights with which every engine starts: the case's own, or those that its seed makes."""
        return self.weights if self.weights is not None else discriminating_weights(self.spec, self.seed)

    @property
    def family(self) -> str:
        """The family in the catalogue, one of `FAMILIES`; empty for a case of a user's model."""
        return family_of(self.name)

    @property
    def updates(self) -> int:
        """How many updates the program makes."""
        return sum(part.epochs * len(part.data) for part in self.training if isinstance(part, Fit))

    def forward_steps(self) -> Iterator[Step]:
        """Inference over all forward batches, states carried from one to the next; then over the first, reset."""
        batches = [dataclasses.replace(batch, targets=()) for batch in self.forward.batches()]
        for index, batch in enumerate(batches):
            yield Step("forward", batch, reset=index == 0, keep=KEPT)
        if any(lstm.stateful for lstm in self.spec.lstms.values()):
            yield Step("forward", batches[0], reset=True, keep=KEPT)

    def gradient_steps(self) -> Iterator[Step]:
        """The gradient of the loss on the first forward batch."""
        yield Step("gradient", next(self.forward.batches()), reset=True, keep=("gradients",))

    def training_steps(self) -> Iterator[Step]:
        """The program: states are reset at the start of an epoch, and before and after a validation or evaluation."""
        for part in self.training:
            if isinstance(part, Evaluate):
                yield from _pass("evaluate", part.data, 0)
                continue
            for epoch in range(part.epochs):
                yield from _pass("update", part.data, epoch)
                if part.validation is not None:
                    yield from _pass("evaluate", part.validation, 0)

    def update_steps(self) -> Iterator[Step]:
        """Exactly 100 updates, over and over the same batches."""
        assert self.updates_on is not None
        made = 0
        while made < UPDATES:
            for step in _pass("update", self.updates_on, 0):
                made += 1
                if made in MILESTONES:
                    step = dataclasses.replace(step, keep=(*step.keep, "weights", "slots"))
                if made <= UPDATES:
                    yield step


def _pass(kind: str, data: Recipe, epoch: int) -> Iterator[Step]:
    """One pass over the data. It begins with a reset; what follows it does too."""
    for index, batch in enumerate(data.batches(epoch)):
        yield Step(kind, batch, reset=index == 0, keep=("states",) if batch.states else ())  # type: ignore[arg-type]
