"""Keras as its users run it, on any backend: the compiled call, `train_on_batch`, `predict` and `fit`.

The backend's module adds the compiled call and its gradient. Everything else is Keras's own trainer.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator, Set
from typing import Any

import keras
import numpy as np

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs, prefixed
from multilstm.bench.modes import GRADIENT, Mode
from multilstm.engines.keras.keras3_toolkit import Keras3Toolkit
from multilstm.engines.keras.model import KerasModel
from multilstm.engines.keras.training import make_loss, make_optimizer
from multilstm.frameworks import private_keras
from multilstm.frameworks.platform import Platform
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array

__all__ = ["AbstractKerasContestant", "AbstractKerasProgram"]


class AbstractKerasContestant(AbstractContestant):
    """Keras's own layers on one backend; or those of `multilstm.keras_layers`, for a job with portable layers."""

    platform: Platform

    def prepare(self, job: Job, mode: Mode) -> Run:
        private_keras.enable_true_float64()
        return self.program(job).run(mode)

    @abc.abstractmethod
    def program(self, job: Job) -> AbstractKerasProgram:
        """Return the model of a job."""

    def product(self, left: Array, right: Array) -> Callable[[], Any]:
        tensors = keras.ops.convert_to_tensor(left), keras.ops.convert_to_tensor(right)
        return lambda: keras.ops.convert_to_numpy(keras.ops.matmul(*tensors)[:1])

    def versions(self) -> dict[str, str]:
        return {"keras": keras.__version__, **self.platform.versions()}


class AbstractKerasProgram(abc.ABC):
    """A Keras model with the weights, loss and optimizer of a job.

    Args:
        job: the job.
        jit_compile: as in `Model.compile`.

    Attributes:
        model: the Keras model; it returns one tensor for a spec of one output, else a list.
        batches: inputs of the model and targets for each batch, as `train_on_batch` takes them.
        entered: the recurrent paths of Keras that were entered.
    """

    def __init__(self, job: Job, jit_compile: bool | str) -> None:
        self._job = job
        self.entered: set[str] = set()
        keras.config.set_floatx(stored(job.dtype))
        keras.config.set_dtype_policy(job.dtype if job.dtype in MIXED else stored(job.dtype))
        toolkit = Keras3Toolkit(job.layers == "portable")
        built = KerasModel(job.spec, stored(job.dtype), toolkit, ())
        inputs, outputs = built.model.inputs, built.model.outputs[: len(job.spec.outputs)]
        self.model = keras.Model(_one(inputs), _one(outputs))
        self._variables = built.variables
        for name, variable in built.variables.items():
            variable.assign(job.weights[name])
        self.names = {id(variable): name for name, variable in built.variables.items()}
        self.loss = make_loss(job.loss, toolkit)
        optimizer = make_optimizer(job.optimizer, self.model.trainable_variables, toolkit)
        losses = None if job.loss is None else [make_loss(job.loss, toolkit) for _ in outputs]
        self.model.compile(optimizer or "sgd", None if losses is None else _one(losses), jit_compile=jit_compile)
        self.batches = [
            (_one([_cast(step.batch.inputs[name], job.dtype) for name in built.inputs]), self._targets(step.batch))
            for step in job.steps
        ]

    def run(self, mode: Mode) -> Run:
        """Return the run of a mode."""
        if mode.step == "update":
            return self._watched(self.train(mode.whole), lambda _: prefixed("weights", self._weights()))
        if mode.whole:
            return self._watched(self._predict, self._predictions)
        if mode == GRADIENT:
            return self.gradient()
        return self.forward()

    @abc.abstractmethod
    def forward(self) -> Run:
        """Return the compiled inference of the first batch."""

    @abc.abstractmethod
    def gradient(self) -> Run:
        """Return the compiled gradient of the loss of the first batch."""

    @abc.abstractmethod
    def kernels(self, found: Set[str] | None = None) -> str:
        """Return the kernels behind the paths that were entered.

        Args:
            found: the kernels in the compiled program; None: it was compiled inside of Keras.
        """

    def fused(self, path: Callable[[], Any], operator: str) -> tuple[Any, str]:
        """Call Keras's fused path; return its result and the name of its kernel."""
        from multilstm.frameworks.kernels import FUSED

        return path(), FUSED

    def total_loss(self, targets: list[Any], outputs: list[Any]) -> Any:
        """Return the sum of the losses of all outputs and of the penalties."""
        losses = [self.loss(target, output) for target, output in zip(targets, outputs, strict=True)]
        return sum(losses[1:], losses[0]) + sum(self.model.losses)

    def gradients(self, arrays: list[Any]) -> dict[str, Array]:
        """Return gradients in the order of the trained variables, by name."""
        names = (self.names[id(variable)] for variable in self.model.trainable_variables)
        return prefixed("gradient", dict(zip(names, map(_numpy, arrays), strict=True)))

    def outputs(self, value: Any) -> dict[str, Array]:
        """Return the outputs of one batch by name."""
        return named_outputs([[_numpy(tensor) for tensor in keras.tree.flatten(value)]])

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the recurrent paths of Keras inside the `with` block."""
        with private_keras.record_keras_paths(self.fused) as entered:
            yield
        self.entered |= entered

    def first(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that makes the call while Keras's paths are recorded."""

        def watched() -> Any:
            with self.recorded():
                return call()

        return watched

    def train(self, whole: bool) -> Callable[[], Any]:
        """Return the call of `train_on_batch`, or of `fit` over all batches."""
        if not whole:
            return lambda: self.model.train_on_batch(*self.batches[0])
        if self._lengths_differ:
            return lambda: [self.model.train_on_batch(x, y) for x, y in self.batches]
        x, y = (_joined([batch[part] for batch in self.batches]) for part in (0, 1))
        size = self._job.steps[0].batch.size
        return lambda: self.model.fit(x, y, batch_size=size, epochs=1, shuffle=False, verbose=0)

    # --- parts

    def _predict(self) -> Any:
        if self._lengths_differ:
            return [self.model.predict_on_batch(x) for x, _ in self.batches]
        x = _joined([x for x, _ in self.batches])
        return self.model.predict(x, batch_size=self._job.steps[0].batch.size, verbose=0)

    def _predictions(self, value: Any) -> dict[str, Array]:
        if self._lengths_differ:
            return named_outputs([[_numpy(array) for array in keras.tree.flatten(outputs)] for outputs in value])
        parts = [np.split(array, len(self.batches)) for array in keras.tree.flatten(value)]
        return named_outputs(zip(*parts, strict=True))

    def _watched(self, call: Callable[[], Any], answers: Callable[[Any], dict[str, Array]]) -> Run:
        return Run(call, answers, self.kernels, first=self.first(call))

    @property
    def _lengths_differ(self) -> bool:
        return len({tuple(map(np.shape, keras.tree.flatten(x))) for x, _ in self.batches}) > 1

    def _weights(self) -> dict[str, Array]:
        return {name: _numpy(variable) for name, variable in self._variables.items()}

    def _targets(self, batch: Any) -> Any:
        targets = [_cast(array, self._job.dtype) for array in batch.targets]
        return _one(targets) if targets else None


def _one(values: list[Any]) -> Any:
    """Return the value of a list of one, else the list."""
    return values[0] if len(values) == 1 else values


def _joined(batches: list[Any]) -> Any:
    """Return the arrays of all batches, one after the other."""
    if isinstance(batches[0], list):
        return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]
    return np.concatenate(batches)


def _cast(array: Array, dtype: str) -> Array:
    return array if array.dtype.kind in "iub" else array.astype(stored(dtype), copy=False)


def _numpy(value: Any) -> Array:
    array = np.array(keras.ops.convert_to_numpy(value))
    return array.astype("float32") if array.dtype.itemsize == 2 else array
