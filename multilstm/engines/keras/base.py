"""The Keras engines: a functional Keras model for a spec, driven in the same way on every backend.

The module of a backend decides three things: the compilation of a step, its gradients, and the devices and precision
switches. Everything else is here: weights, optimizer slots, states, and the record of Keras's recurrent paths.

The engines compile and run a model as Keras's own trainer does. On TensorFlow this is `tf.function` with the model's
symbolic shapes, on JAX `jax.jit` over `stateless_call`, and on PyTorch eager execution.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import keras
import numpy as np

from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.keras.dropout import mask_input, refuse_in_plain_keras
from multilstm.engines.keras.keras3_toolkit import Keras3Toolkit
from multilstm.engines.keras.layers import AbstractToolkit
from multilstm.engines.keras.layout import FlatAnswer, Inputs, state_input
from multilstm.engines.keras.model import KerasModel, floats_of
from multilstm.engines.keras.training import make_loss, make_optimizer
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks import kernels, private_keras
from multilstm.frameworks.platform import Platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState, Array
from multilstm.spec.shapes import closed


class AbstractKerasEngine(AbstractEngine):
    """Base of the three Keras engines; the environment variable KERAS_BACKEND must name the engine's backend."""

    backend: str

    def __init__(self) -> None:
        if keras.backend.backend() != self.backend:
            raise EngineUnavailableError(
                f"engine keras-{self.backend} needs KERAS_BACKEND={self.backend} before Keras is imported; "
                f"Keras runs on {keras.backend.backend()!r} here"
            )
        private_keras.enable_true_float64()

    def versions(self) -> dict[str, str]:
        """Return the versions of Keras and of the backend's packages."""
        return {"keras": keras.__version__, **self.platform.versions()}

    @abc.abstractmethod
    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of tensors, compiled as this backend's programs are."""

    def operations(self) -> Operations:
        """Return the operations of Keras, whose promotion of dtypes may differ from the backend's."""
        ops = keras.ops
        return Operations(
            tensor=lambda values: ops.convert_to_tensor(values, dtype=str(values.dtype)),
            array=_numpy,
            compiled=self.compiled,
            sum=ops.sum,
            matmul=ops.matmul,
            transpose=ops.transpose,
            tanh=ops.tanh,
            sigmoid=ops.sigmoid,
        )


class AbstractKerasProgram(AbstractProgram):
    """A functional Keras model with its loss and optimizer.

    One step is three functions: `feed` orders the arrays, `run` computes, and `OutputLayout.read` names the results.

    Attributes:
        sources: positions of the inputs with respect to which the loss is differentiated.
    """

    platform: Platform

    def __init__(self, job: Job) -> None:
        self.spec, self.portable, self._tf32 = job.spec, job.layers == "portable", job.dtype == "tf32"
        self.toolkit = self.make_toolkit(job)
        self.draws_dropout = self.toolkit.draws_dropout
        self._iteration = 0
        self.dtype = stored(job.dtype)
        self.policy = job.dtype if job.dtype in MIXED else self.dtype
        self._paths: set[str] = set()
        self._recorded: set[tuple[Any, ...]] = set()  # kinds and shapes of the steps behind `_paths`
        given = {name for step in job.steps for name in step.batch.states}
        given_states = tuple(name for name, layer in job.spec.recurrent.items() if name in given and not layer.stateful)
        with self._context():
            self.built = self.make_model(job, given_states)
            self.model, self.layout = self.built.model, self.built.layout
            self.loss, self._loss_scale = self.make_loss(job), job.loss_scale
            self.optimizer = self.make_optimizer(job)
        self.sources = [self.built.inputs.index(name) for name in self.layout.sources]
        self._slots = self._slot_variables(job.optimizer.slots) if job.optimizer is not None else {}

    # --- the contract

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        self._iteration = iteration
        with self._context():
            for name, variable in self.built.variables.items():
                variable.assign(weights[name])
            for layer in self.built.layers.values():
                if hasattr(layer, "finalize_state"):  # a Normalization computes with copies of its weights
                    layer.finalize_state()
            for name, variable in self._slots.items():
                variable.assign(slots[name])
            if self.optimizer is not None:
                self.optimizer.iterations.assign(iteration)

    def weights(self) -> dict[str, Array]:
        return {name: _numpy(variable) for name, variable in self.built.variables.items()}

    def slots(self) -> dict[str, Array]:
        return {name: _numpy(variable) for name, variable in self._slots.items()}

    def parameter_counts(self) -> dict[str, int]:
        counters = {name: len(layer.weights) - len(floats_of(layer)) for name, layer in self.built.layers.items()}
        return {name: int(layer.count_params()) - counters[name] for name, layer in self.built.layers.items()}

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        if batch.dropout and not self.portable:
            refuse_in_plain_keras(self.spec)
        stateful = self.built.stateful
        with self._context():
            for name in stateful.keys() & states.keys():  # the graph passes the states of the others
                for variable, value in zip(stateful[name].states, states[name], strict=True):
                    variable.assign(value)
            for generator, seed in self.built.seed_generators:
                generator.state.assign([seed, self._iteration])
            flat = self.run(kind, self.feed(batch, states))
            carried = {
                name: self.spec.recurrent[name].state_type._make(map(_numpy, layer.states))
                for name, layer in stateful.items()
            }
        answer: Answer = self.layout.read(flat, carried)
        return answer

    @property
    def implementation(self) -> Implementation:
        return Implementation(", ".join(sorted(self._paths)) or "no recurrent layer ran")

    # --- one step

    def feed(self, batch: Batch, states: Mapping[str, AnyState]) -> Inputs:
        """Return the arrays of one step in the order of the model's inputs.

        Given states that a step leaves out are zero. Dropout masks have no effect outside of training, and are ones.
        """
        values = {**batch.inputs, **{mask_input(name): mask for name, mask in batch.dropout.items()}}
        for name in self.built.given_states:
            zeros = self.spec.recurrent[name].zero_state(
                np.zeros(closed(self.spec.state_shape(name, batch.size)), self.dtype)
            )
            for field, value in states.get(name, zeros)._asdict().items():
                values[state_input(name, field)] = value
        for name, tensor in zip(self.built.inputs, self.model.inputs, strict=True):
            if name not in values:
                values[name] = np.ones([size or 1 for size in tensor.shape], self.dtype)
        names = self.built.inputs
        return Inputs([values[name] for name in names], [batch.masks.get(name) for name in names], list(batch.targets))

    def run(self, kind: str, inputs: Inputs) -> FlatAnswer:
        """Compute one step, and update the weights in an `update`."""
        shapes = kind, *(array.shape for array in inputs.values), *(mask is not None for mask in inputs.masks)
        recording: contextlib.AbstractContextManager[set[str]] = contextlib.nullcontext(set())
        if shapes not in self._recorded:
            recording = self.recording()
        statistics = [self.built.variables[name] for name in self.spec.statistics if kind == "gradient"]
        before = [_numpy(variable) for variable in statistics]
        with recording as entered:
            loss, outputs, gradients = self.compute(kind, inputs)
        for variable, value in zip(statistics, before, strict=True):  # only an update changes them
            variable.assign(value)
        if loss is not None and self._loss_scale != 1.0:
            loss, *gradients = (self._unscaled(tensor) for tensor in (loss, *gradients))
        self.places = {self.place(tensor) for tensor in (*outputs, *gradients) if tensor is not None}
        self._paths |= self.kernels(entered)
        self._recorded.add(shapes)
        if kind == "update":
            self.apply(gradients[: len(self.layout.weights)])
            self._iteration += 1
        return FlatAnswer(
            loss=None if loss is None else float(_numpy(loss)),
            outputs=[_numpy(output) for output in outputs],
            gradients=self._dense_arrays(inputs, gradients) if kind == "gradient" else None,
        )

    def _dense_arrays(self, inputs: Inputs, gradients: list[Any]) -> list[Array]:
        """Return the gradients as arrays of their weights' and sources' shapes."""
        targets = [*self.model.trainable_variables, *(inputs.values[index] for index in self.sources)]
        return [
            np.zeros(target.shape, self.dtype) if gradient is None else _numpy(self.dense(gradient))
            for target, gradient in zip(targets, gradients, strict=True)
        ]

    def _unscaled(self, gradient: Any) -> Any:
        """Return a gradient, dense or sparse, divided by the loss scale; None for None."""
        return None if gradient is None else keras.ops.divide(gradient, self._loss_scale)

    # --- decisions of the backend

    def make_toolkit(self, job: Job) -> AbstractToolkit:
        """Return the classes of Keras from which the model is built."""
        return Keras3Toolkit(self.portable, job.draws_dropout)

    def make_model(self, job: Job, given_states: tuple[str, ...]) -> Any:
        """Return the model, with the attributes of `KerasModel`."""
        return KerasModel(job.spec, self.dtype, self.toolkit, given_states)

    def make_loss(self, job: Job) -> Any:
        """Return the loss of each output, or None."""
        return make_loss(job.loss, self.toolkit)

    def make_optimizer(self, job: Job) -> Any:
        """Return the optimizer with slots for the trained weights of `model`, or None."""
        return make_optimizer(job.optimizer, self.model.trainable_variables, self.toolkit)

    def recording(self) -> contextlib.AbstractContextManager[set[str]]:
        """Record the recurrent paths of Keras that are entered inside the `with` block."""
        return private_keras.record_keras_paths(self.fused)

    @abc.abstractmethod
    def place(self, tensor: Any) -> str:
        """Return the device of a tensor: `cpu` or `gpu`."""

    @abc.abstractmethod
    def compute(self, kind: str, inputs: Inputs) -> tuple[Any, list[Any], list[Any]]:
        """Compute one step without the update.

        Returns:
            The loss (None in a forward step), the outputs of the Keras model, and in training the gradients of the
            model's trained variables and of the inputs at `sources`. A gradient is None where the loss does not depend
            on the variable. An update ignores the gradients of inputs: it shares the compiled program of `gradient`.
        """

    @abc.abstractmethod
    def apply(self, gradients: list[Any]) -> None:
        """Update the trained weights with their gradients."""

    def dense(self, gradient: Any) -> Any:
        """Return a gradient as one array of the weight's shape."""
        return gradient

    @abc.abstractmethod
    def kernels(self, entered: Set[str]) -> set[str]:
        """Return the kernels behind the paths that this step entered, in the words of `frameworks.kernels`."""

    def fused(self, path: Callable[[], Any], operator: str) -> tuple[Any, str]:
        """Call Keras's fused path, and return its result and the name of its kernel.

        The name is `kernels.FUSED` where only the compiled program shows the kernel.
        """
        return path(), kernels.FUSED

    def total_loss(self, targets: list[Any], outputs: list[Any], penalties: list[Any]) -> Any:
        """Return the sum of the losses of the spec's outputs and of the penalties, times the job's loss scale.

        Each loss uses the Keras mask of its output.

        Args:
            targets: one tensor for each output of the spec.
            outputs: the outputs of the Keras model.
            penalties: Keras's `model.losses`.
        """
        total: Any = None
        pairs = zip(targets, outputs[: len(self.spec.outputs)], strict=True)
        for loss in (*(self.loss(target, output) for target, output in pairs), *penalties):
            total = loss if total is None else total + loss
        return total if self._loss_scale == 1.0 else total * self._loss_scale

    # --- parts

    def _slot_variables(self, slots: tuple[str, ...]) -> dict[str, Any]:
        """Return the variables of the optimizer by `layer/weight/slot`."""
        return {
            f"{weight}/{slot}": variable
            for slot in slots
            for weight, variable in zip(
                self.layout.weights, private_keras.optimizer_slots(self.optimizer, slot), strict=True
            )
        }

    @contextlib.contextmanager
    def _context(self) -> Iterator[None]:
        """Set Keras's default dtypes and the backend's TF32 switch inside the `with` block."""
        self.platform.set_tf32(self._tf32)
        with self.toolkit.defaults(self.dtype, self.policy):
            yield


def _numpy(value: Any) -> Array:
    """Return a tensor as an array; half precision becomes float32, which holds all its values."""
    array = np.asarray(keras.ops.convert_to_numpy(value))
    return array.astype("float32") if array.dtype.itemsize == 2 else array
