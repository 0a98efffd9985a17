"""Workloads: the models that a benchmark times, each with weights and batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multilstm.bench.flops import forward_flops
from multilstm.bench.modes import Mode
from multilstm.cases.case import Case
from multilstm.cases.model_case import ModelInputs
from multilstm.errors import InputError, UsageError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.jobs.memory import check_memory
from multilstm.spec import Graph, Layer
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import Adam, Optimizer
from multilstm.weights.initializers import discriminating_weights
from multilstm.weights.layout import check_weights

__all__ = ["BATCHES", "Workload", "case_workload", "model_workload", "sized_name"]

BATCHES = 4  # of a call of `predict` or `fit`
ROWS = ("complete", "padded on the right")  # of a model with masks: cuDNN computes no other padding


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model with its data.

    Attributes:
        name: unique in a run.
        spec: the model, without dropout: frameworks draw different masks, so answers could not be compared.
        weights: every weight by `layer/weight`.
        batches: inputs and targets.
        loss: the loss of every output.
        optimizer: the optimizer of the training modes.
        source: the publication or the program that the workload comes from.
    """

    name: str
    spec: Graph
    weights: Mapping[str, Array]
    batches: tuple[Batch, ...]
    loss: str = "mean_squared_error"
    optimizer: Optimizer = dataclasses.field(default_factory=Adam)
    source: str = ""

    @property
    def batch(self) -> int:
        """The number of sequences in a batch."""
        return self.batches[0].size

    @property
    def timesteps(self) -> int:
        """The number of timesteps of the first batch; 1 for inputs without time."""
        return _timesteps(self.batches[0])

    def count(self, mode: Mode) -> int:
        """Return the number of batches of a call."""
        return len(self.batches) if mode.whole else 1

    def steps(self, mode: Mode) -> int:
        """Return the number of timesteps of a call, all its batches together; those of one batch run at once."""
        return sum(map(_timesteps, self.batches[: self.count(mode)]))

    def flops(self, mode: Mode) -> int:
        """Return the operations of a call's matrix products; a gradient has three times those of a forward pass."""
        chosen = self.batches[: self.count(mode)]
        return mode.passes * sum(forward_flops(self.spec, batch.size, _timesteps(batch)) for batch in chosen)

    def job(self, mode: Mode, dtype: str, device: str, layers: str) -> Job:
        """Return the job that computes the answers of a mode.

        Args:
            mode: the mode.
            dtype: the dtype of the computation.
            device: `cpu` or `gpu`.
            layers: `plain` or `portable`, for the Keras contestants.
        """
        steps = tuple(
            Step(mode.step, batch, reset=number == 0, keep=(mode.keep,))
            for number, batch in enumerate(self.batches[: self.count(mode)])
        )
        if not mode.trains:
            steps = tuple(
                dataclasses.replace(step, batch=dataclasses.replace(step.batch, targets=())) for step in steps
            )
        return Job(
            self.spec,
            self.weights,
            steps,
            dtype=dtype,
            layers=layers,
            device=device,
            loss=self.loss if mode.trains else None,
            optimizer=self.optimizer if mode.trains else None,
        )

    def check_trains(self) -> None:
        """Return if training changes a weight.

        Raises:
            InputError: for a model whose weights are all frozen.
        """
        if not self.spec.trainable_weights:
            raise InputError(
                f"model {self.name!r}: no weight of it is trained, so that it has no gradient; "
                "give --mode forward or --mode predict, or set trainable=True on a layer"
            )


def model_workload(
    name: str,
    spec: Graph,
    weights: Mapping[str, Array] | None,
    batch: int,
    timesteps: int,
    batches: int = BATCHES,
) -> Workload:
    """Return a workload of a model with random data.

    Args:
        name: the name of the workload.
        spec: the model.
        weights: every weight by `layer/weight`; None: random ones.
        batch: the number of sequences, where the model leaves it open.
        timesteps: the size of every other dimension that the model leaves open.
        batches: the number of batches.

    Raises:
        UsageError: for a size below 1.
        InputError: for a batch that the memory of this machine cannot hold, and weights that do not fit.
    """
    for option, size in (("--batch", batch), ("--timesteps", timesteps)):
        if size < 1:
            raise UsageError(f"{option} must be at least 1, given {size}")
    check_memory(spec, batch, timesteps)
    spec = without_dropout(spec)
    if weights is None:
        weights = discriminating_weights(spec)
    check_weights(spec, weights)
    inputs = ModelInputs(spec, batch, timesteps, rows=ROWS)
    return Workload(name, spec, weights, tuple(map(inputs.batch_of, range(batches))))


def case_workload(case: Case, batches: int) -> Workload:
    """Return a workload of a case's model, loss and optimizer, with the first batches of its training."""
    given = [step.batch for step in case.training_steps() if step.kind == "update"][:batches]
    return Workload(
        case.name,
        without_dropout(case.spec),
        case.initial_weights,
        tuple(dataclasses.replace(batch, dropout={}, states={}) for batch in given),
        str(case.loss),
        case.optimizer or Adam(),
        case.description,
    )


def sized_name(spec: Graph, batch: int, timesteps: int) -> str:
    """Return the name of a model at one size, such as `classifier 32x100`; its own sizes win."""
    own = next((layer.batch_size for layer in spec.inputs.values() if layer.batch_size), batch)
    shapes = [layer.shape for layer in spec.inputs.values() if layer.shape]
    is_open = any(None in shape for shape in shapes)  # of one input suffices: each length is another workload
    return f"{spec.name} {own}x{timesteps if is_open else next((shape[0] for shape in shapes), timesteps)}"


def without_dropout(spec: Graph) -> Graph:
    """Return the model with all rates of dropout at 0."""

    def change(layer: Layer) -> Layer:
        rates: dict[str, Any] = {
            name: 0.0 for name in ("rate", "dropout", "recurrent_dropout") if getattr(layer, name, 0)
        }
        return dataclasses.replace(layer, **rates) if rates else layer

    return spec.with_layers(change)


def _timesteps(batch: Batch) -> int:
    return max((array.shape[1] for array in batch.inputs.values() if array.ndim > 1), default=1)
