"""The Keras engines: a spec becomes a functional Keras model, driven in one way on every backend.

The backend decides three things, each in a file of its own: how a step is compiled, how gradients are taken, and what
its devices and precision switches are. Everything else is here: the layers (`plain` Keras's own, or `portable`, from
multilstm.keras_layers), states in and out, weights, optimizer slots, and which of Keras's loops ran.

The driver compiles and runs what Keras's own trainer does: tf.function with the model's symbolic shapes, jax.jit over
`stateless_call`, eager PyTorch.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import keras
import numpy as np

from multilstm import keras_layers
from multilstm.engines.base import AbstractEngine, AbstractProgram
from multilstm.engines.keras.dropout import mask_input, refuse_in_plain_keras
from multilstm.engines.keras.model import KerasModel
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks import kernels, private_apis
from multilstm.frameworks.platform import Platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import Array, State
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.schedules import Schedule

_LOSSES = {"categorical_crossentropy": "CategoricalCrossentropy", "mean_squared_error": "MeanSquaredError"}


class AbstractKerasEngine(AbstractEngine):
    """What the three Keras engines share; the backend is the one that KERAS_BACKEND named."""

    backend: str

    def __init__(self) -> None:
        if keras.backend.backend() != self.backend:
            raise EngineUnavailableError(
                f"engine keras-{self.backend} needs KERAS_BACKEND={self.backend} before Keras is imported; "
                f"Keras runs on {keras.backend.backend()!r} here"
            )
        private_apis.enable_true_float64()

    def versions(self) -> dict[str, str]:
        """The versions of Keras and of the backend's packages."""
        return {"keras": keras.__version__, **self.platform.versions()}

    @abc.abstractmethod
    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of tensors, compiled as this backend's programs are."""

    def operations(self) -> Operations:
        """Keras's own, which may promote a dtype where the backend's would not."""
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
    """A functional Keras model with its loss and optimizer, and every LSTM's sequence and states as extra outputs."""

    platform: Platform

    def __init__(self, job: Job) -> None:
        self.spec, self.portable, self._tf32 = job.spec, job.layers == "portable", job.dtype == "tf32"
        self.policy = job.dtype if job.dtype in MIXED else stored(job.dtype)
        self.dtype = stored(job.dtype)
        self._ran: set[str] = set()
        self._watched: set[tuple[Any, ...]] = set()  # the kinds of steps and shapes of which `_ran` tells
        self._given = tuple(
            name for name in job.spec.lstms if any(name in step.batch.states for step in job.steps)
            and not job.spec.lstms[name].stateful
        )  # fmt: skip
        with self._context():
            self.built = KerasModel(job.spec, self.dtype, self.portable, self._given)
            self.model, self.outputs_count, self.variables = (
                self.built.model, self.built.outputs_count, self.built.variables,
            )  # fmt: skip
            inputs, states = job.spec.sources(self._given)
            floats = {*inputs, *(_state_input(name, part) for name in states for part in State._fields)}
            self.sources = [index for index, name in enumerate(self.built.inputs) if name in floats]
            self.loss, self._loss_scale = self._make_loss(job.loss), job.loss_scale
            self.optimizer = self._make_optimizer(job.optimizer)

    # --- the contract ---

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        with self._context():
            for name, variable in self.variables.items():
                variable.assign(weights[name])
            if self.optimizer is not None:
                self.optimizer.iterations.assign(iteration)
                for name, variable in self._slot_variables().items():
                    variable.assign(slots[name])

    def weights(self) -> dict[str, Array]:
        return {name: _numpy(variable) for name, variable in self.variables.items()}

    def slots(self) -> dict[str, Array]:
        return {name: _numpy(variable) for name, variable in self._slot_variables().items()}

    def parameter_counts(self) -> dict[str, int]:
        return {name: int(layer.count_params()) for name, layer in self.built.layers.items()}

    def step(self, kind: str, batch: Batch, states: Mapping[str, State]) -> Answer:
        if batch.dropout and not self.portable:
            refuse_in_plain_keras(self.spec)
        stateful = self.built.stateful
        weights = self.model.trainable_variables
        shapes = kind, *(array.shape for array in batch.inputs.values()), *batch.masks
        recording: contextlib.AbstractContextManager[set[str]] = contextlib.nullcontext(set())
        if shapes not in self._watched:
            recording = private_apis.record_keras_paths(self.fused)
        with self._context(), recording as entered:
            for name in stateful.keys() & states.keys():  # without one, the graph passes it
                for variable, value in zip(stateful[name].states, states[name], strict=True):
                    variable.assign(value)
            values = {**batch.inputs, **{mask_input(name): mask for name, mask in batch.dropout.items()}}
            for name in self._given:
                given = states.get(name)
                for part in State._fields:
                    value = (
                        np.zeros((batch.size, self.spec.lstms[name].units), self.dtype)
                        if given is None
                        else getattr(given, part)
                    )
                    values[_state_input(name, part)] = value
            for name, tensor in zip(self.built.inputs, self.model.inputs, strict=True):
                if name not in values:  # a dropout mask outside of training, where it is not used
                    values[name] = np.ones([size or 1 for size in tensor.shape], self.dtype)
            inputs = [values[name] for name in self.built.inputs]
            masks = [batch.masks.get(name) for name in self.built.inputs]
            loss, outputs, gradients = self.run(kind, inputs, masks, list(batch.targets))
            if loss is not None and self._loss_scale != 1.0:
                loss, *gradients = (self._unscaled(each) for each in (loss, *gradients))
            self.places = {self.place(tensor) for tensor in (*outputs, *gradients) if tensor is not None}
            self._ran |= self.kernels(entered)
            self._watched.add(shapes)
            if kind == "update":
                self.apply(gradients[: len(weights)])
            arrays = [_numpy(output) for output in outputs]
            found = {name: State(*(_numpy(variable) for variable in layer.states)) for name, layer in stateful.items()}
            dense = []
            if kind == "gradient":
                dense = [
                    np.zeros(each.shape, self.dtype) if gradient is None else _numpy(self.dense(gradient))
                    for each, gradient in zip(
                        [*weights, *(inputs[index] for index in self.sources)], gradients, strict=True
                    )
                ]
            arriving = dense[len(weights) :]
            of_sources = {self.built.inputs[i]: array for i, array in zip(self.sources, arriving, strict=False)}
        first, last = self.outputs_count, self.outputs_count + len(self.built.sequences)
        pairs = arrays[last:]
        found.update({name: State(*pairs[2 * i : 2 * i + 2]) for i, name in enumerate(self.built.states)})
        names = {id(variable): name for name, variable in self.variables.items()}
        returned = dict(zip(self.built.sequences, arrays[first:last], strict=True))
        return Answer(
            loss=None if loss is None else float(_numpy(loss)),
            outputs=tuple(arrays[:first]),
            sequences={name: array for name, array in returned.items() if self.spec.lstms[name].return_sequences},
            last_outputs={name: a for name, a in returned.items() if not self.spec.lstms[name].return_sequences},
            states={name: found[name] for name in self.spec.lstms},
            gradients={names[id(weight)]: gradient for weight, gradient in zip(weights, dense, strict=False)},
            input_gradients={name: of_sources[name] for name in self.spec.inputs if name in of_sources},
            state_gradients={
                name: State(*(of_sources[_state_input(name, part)] for part in State._fields))
                for name in self._given
                if of_sources
            },
        )

    @property
    def implementation(self) -> Implementation:
        return Implementation(", ".join(sorted(self._ran)) or "no LSTM ran")

    # --- what the backend decides ---

    @abc.abstractmethod
    def place(self, tensor: Any) -> str:
        """Where a tensor lies: `cpu` or `gpu`."""

    @abc.abstractmethod
    def run(
        self, kind: str, inputs: list[Array], masks: list[Array | None], targets: list[Array]
    ) -> tuple[Any, list[Any], list[Any]]:
        """Computes one step: the loss (or None), the model's outputs, and in training the gradients.

        These are of the model's trained variables, in their order, and then of the inputs at `sources`, which an
        update has no use for, but so it and `gradient` are compiled once; None of what the loss does not reach.
        """

    @abc.abstractmethod
    def apply(self, gradients: list[Any]) -> None:
        """One step of the optimizer with the gradients that `run` gave."""

    def dense(self, gradient: Any) -> Any:
        """A gradient as one array of the weight's shape."""
        return gradient

    @abc.abstractmethod
    def kernels(self, entered: Set[str]) -> set[str]:
        """The kernels behind the paths that were entered in this step, as `multilstm.frameworks.kernels` reads them."""

    def fused(self, path: Callable[[], Any]) -> tuple[Any, str]:
        """Calls Keras's fused path: what it gave, and the kernel, or `fused` where only `kernels` can tell."""
        return path(), kernels.FUSED

    def total_loss(self, targets: list[Any], outputs: list[Any], penalties: list[Any]) -> Any:
        """The sum of the losses of the model's own outputs, and of `penalties`, which are Keras's `model.losses`.

        Each loss takes the output's Keras mask into account. All is multiplied by the job's `loss_scale`.
        """
        total: Any = None
        own = zip(targets, outputs[: self.outputs_count], strict=True)
        for loss in (*(self.loss(target, output) for target, output in own), *penalties):
            total = loss if total is None else total + loss
        return total if self._loss_scale == 1.0 else total * self._loss_scale

    # --- parts ---

    def _unscaled(self, gradient: Any) -> Any:
        """The gradient of the loss, sparse ones too; None stays None."""
        return None if gradient is None else keras.ops.divide(gradient, self._loss_scale)

    def _make_loss(self, name: str | None) -> Any:
        if name is None:
            return None
        source = keras_layers if self.portable and hasattr(keras_layers, _LOSSES[name]) else keras.losses
        return getattr(source, _LOSSES[name])()

    def _make_optimizer(self, optimizer: Optimizer | None) -> Any:
        if optimizer is None:
            return None
        arguments = {field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)}
        rate = optimizer.learning_rate
        if isinstance(rate, Schedule):
            schedule = getattr(keras.optimizers.schedules, type(rate).__name__)
            arguments["learning_rate"] = schedule(**dataclasses.asdict(rate))
        source = keras_layers if self.portable else keras.optimizers
        made = getattr(source, type(optimizer).__name__)(**arguments)
        made.build(self.model.trainable_variables)
        self._slot_names = optimizer.slots
        return made

    def _slot_variables(self) -> dict[str, Any]:
        if self.optimizer is None:
            return {}
        found = {}
        names = {id(variable): name for name, variable in self.variables.items()}
        for slot in self._slot_names:
            variables = private_apis.optimizer_slots(self.optimizer, slot)
            for variable, weight in zip(variables, self.model.trainable_variables, strict=True):
                found[f"{names[id(weight)]}/{slot}"] = variable
        return found

    @contextlib.contextmanager
    def _context(self) -> Iterator[None]:
        """Keras's process-wide default dtypes, and the backend's TF32, while this program builds or runs."""
        self.platform.set_tf32(self._tf32)
        floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
        keras.config.set_floatx(self.dtype)
        keras.config.set_dtype_policy(self.policy)
        try:
            yield
        finally:
            keras.config.set_floatx(floatx)
            keras.config.set_dtype_policy(policy)


def _state_input(lstm: str, part: str) -> str:
    """The name of the model's input for a part of a given state."""
    return f"{lstm.replace('/', '.')}.{part}"


def _numpy(value: Any) -> Array:
    """The array, half precision widened to float32, which holds all its values."""
    array = np.asarray(keras.ops.convert_to_numpy(value))
    return array.astype("float32") if array.dtype.itemsize == 2 else array
