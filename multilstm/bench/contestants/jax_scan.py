"""`multilstm.scan`, jitted: with its defaults, or after `tune_cpu` and over several CPU devices."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, final

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs, prefixed
from multilstm.bench.contestants.jax_base import Compiled, jax_product, jitted_run
from multilstm.bench.contestants.jax_stack import streaming
from multilstm.bench.contestants.stack import stack_of
from multilstm.bench.modes import GRADIENT, STREAM, Mode
from multilstm.frameworks import jax as jax_platform
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.job import Job
from multilstm.scan import tune_cpu
from multilstm.scan.batch import Batch as ScanBatch
from multilstm.scan.bucket import BucketedModel
from multilstm.scan.loops.split import AXIS, MeshOption, Split
from multilstm.scan.model import ScanModel, model
from multilstm.spec.arrays import Array


@final
class ScanContestant(AbstractContestant):
    """The functions of `multilstm.scan.model`; a `BucketedModel` if the batches differ in length.

    Args:
        options: `tuned` calls `tune_cpu` first, and the model has `mesh="auto"`; `measured` measures plans too.
    """

    platform = jax_platform

    def __init__(self, *options: str) -> None:
        self._tuned = tune_cpu(measure="measured" in options) if "tuned" in options else {}

    def prepare(self, job: Job, mode: Mode) -> Run:
        if mode == STREAM:
            return streaming(stack_of(job))
        setup = _Setup.of(job, "auto" if self._tuned else None)
        if mode.step == "update":
            return _training(setup)
        if mode == GRADIENT:
            return jitted_run(
                jax.jit(setup.gradient), (setup.weights, setup.batch(0)), lambda g: prefixed("gradient", _host(g))
            )
        if not mode.whole:
            arguments = setup.weights, setup.batch(0)
            return jitted_run(jax.jit(setup.outputs), arguments, lambda outputs: named_outputs([_host(outputs)]))
        return _predicting(setup)

    def product(self, left: Array, right: Array) -> Callable[[], Any]:
        return jax_product(left, right)

    def versions(self) -> dict[str, str]:
        return jax_platform.versions()

    def switches(self) -> dict[str, str]:
        return {**jax_platform.switches(), **self._tuned}


@dataclasses.dataclass(frozen=True)
class _Setup:
    """A model with its weights on the device.

    Attributes:
        job: the job.
        model: the functions.
        weights: all weights, on each device.
        whole: the place of an array that every device has; None: one device computes.
        rows: the place of an array that is split, or like `whole` if the devices do not divide the batch.
    """

    job: Job
    model: ScanModel
    weights: Any
    whole: NamedSharding | None
    rows: NamedSharding | None

    @classmethod
    def of(cls, job: Job, mesh: MeshOption) -> _Setup:
        """Return the setup of a job for `mesh`, as in `multilstm.scan.model`, with its weights in place."""
        inner = model(job.spec, dtype=MIXED.get(job.dtype), mesh=mesh)
        weights = {name: _cast(array, job.dtype) for name, array in job.weights.items()}
        batch = job.steps[0].batch
        split = inner.shared(weights, ScanBatch.of(batch.inputs))
        if not isinstance(split, Split):
            return cls(job, inner, jax.device_put(weights), None, None)
        whole = NamedSharding(split.mesh, PartitionSpec())
        rows = NamedSharding(split.mesh, PartitionSpec(AXIS)) if batch.size % split.mesh.size == 0 else whole
        return cls(job, inner, jax.device_put(weights, whole), whole, rows)

    @property
    def lengths_differ(self) -> bool:
        """Whether a batch has other shapes than the one before it."""
        shapes = [tuple(np.shape(array) for array in step.batch.inputs.values()) for step in self.job.steps]
        return len(set(shapes)) > 1

    def batch(self, number: int) -> ScanBatch:
        """Return the batch of a number on the device, or split over the devices."""
        given = self.job.steps[number].batch
        arrays = ScanBatch.of(
            {name: _cast(array, self.job.dtype) for name, array in given.inputs.items()},
            [_cast(array, self.job.dtype) for array in given.targets],
        )
        placed: ScanBatch = jax.device_put(arrays, self.rows)
        return placed

    def start(self) -> dict[str, Any]:
        """Return the states of stateful layers before the first batch: zeros."""
        size, dtype = self.job.steps[0].batch.size, stored(self.job.dtype)
        layers = {name: layer for name, layer in self.job.spec.recurrent.items() if layer.stateful}
        zeros = {name: layer.zero_state(np.zeros((size, layer.units), dtype)) for name, layer in layers.items()}
        placed: dict[str, Any] = jax.device_put(zeros, self.rows)
        return placed

    def outputs(self, weights: Any, batch: ScanBatch) -> Any:
        """Return the outputs of the model."""
        return self.model.apply_batch(weights, batch).outputs

    def carrying(self, weights: Any, states: Any, batch: ScanBatch) -> Any:
        """Return the outputs, and the states of stateful layers for the next batch."""
        evaluation = self.model.apply_batch(weights, batch._replace(states=states))
        return evaluation.outputs, {name: evaluation.states[name] for name in states}

    def gradient(self, weights: Any, batch: ScanBatch) -> Any:
        """Return the gradients of all trained weights."""
        return self.model.gradient_batch(weights, batch, loss=str(self.job.loss))[2]

    def update(self, weights: Any, slots: Any, states: Any, coefficients: Any, batch: ScanBatch) -> Any:
        """Return weights, slots and states of stateful layers after an update, and the loss before it."""
        assert self.job.optimizer is not None
        weights, slots, loss, evaluation = self.model.train_step_batch(
            weights,
            slots,
            coefficients,
            batch._replace(states=states),
            optimizer=self.job.optimizer,
            loss=str(self.job.loss),
        )
        return weights, slots, {name: evaluation.states[name] for name in states}, loss


def _predicting(setup: _Setup) -> Run:
    """Return the inference over all batches, from arrays of the host to arrays of the host."""
    numbers = range(len(setup.job.steps))
    if setup.lengths_differ:
        bucketed = BucketedModel(setup.model)
        return Run(
            lambda: [_host(bucketed.apply_batch(setup.weights, setup.batch(number)).outputs) for number in numbers],
            named_outputs,
            lambda: "lax.scan, in buckets of lengths",
        )
    states = [setup.start()]
    apply = Compiled(jax.jit(setup.carrying), (setup.weights, states[0], setup.batch(0)))

    def predict() -> list[Any]:
        answers = []
        for number in numbers:
            outputs, states[0] = apply(setup.weights, jax.device_put(states[0], setup.rows), setup.batch(number))
            answers.append(_host(outputs))
        return answers

    return Run(predict, named_outputs, apply.implementation, compile=apply.compile)


def _training(setup: _Setup) -> Run:
    """Return the update with every batch of the job, each from the host, and the wait for its loss."""
    optimizer, spec = setup.job.optimizer, setup.job.spec
    assert optimizer is not None
    iterations = itertools.count()
    shapes = {f"{name}/{slot}": spec.weight_shapes[name] for name in spec.trainable_weights for slot in optimizer.slots}
    slots = {name: np.zeros(shape, stored(setup.job.dtype)) for name, shape in shapes.items()}
    state = [setup.weights, jax.device_put(slots, setup.whole), setup.start()]
    places = setup.whole, setup.whole, setup.rows
    bucketed = BucketedModel(setup.model) if setup.lengths_differ else None
    update = Compiled(jax.jit(setup.update), (*state, optimizer.coefficients(0), setup.batch(0)))

    def train() -> None:
        for number in range(len(setup.job.steps)):
            coefficients = optimizer.coefficients(next(iterations))
            if bucketed is None:
                *state[:], loss = update(*jax.device_put(tuple(state), places), coefficients, setup.batch(number))
            else:
                weights, slots, states = state
                batch = setup.batch(number)._replace(states=states)
                weights, slots, loss, evaluation = bucketed.train_step_batch(
                    weights, slots, coefficients, batch, optimizer=optimizer, loss=str(setup.job.loss)
                )
                state[:] = weights, slots, {name: evaluation.states[name] for name in states}
            float(loss)

    def trained(_: None) -> dict[str, Array]:
        return prefixed("weights", _host(state[0]))

    if bucketed is not None:
        return Run(train, trained, lambda: "lax.scan, in buckets of lengths")
    return Run(train, trained, update.implementation, compile=update.compile, program_bytes=update.program_bytes)


def _cast(array: Array, dtype: str) -> Array:
    return array if array.dtype.kind in "iub" else array.astype(stored(dtype), copy=False)


def _host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)
