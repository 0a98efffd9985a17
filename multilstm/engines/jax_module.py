"""Engines of converted JAX modules: what those of Flax, Equinox and Haiku share.

The engines prove the conversion: source and parameters are those that `multilstm convert` writes. Outputs, states and
gradients are compared like those of every engine.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from multilstm.conversion.modules.masks import masked_layers
from multilstm.conversion.modules.state import AbstractState
from multilstm.engines.base import AbstractEngine
from multilstm.engines.converted import AbstractConvertedProgram
from multilstm.errors import UnsupportedError
from multilstm.frameworks import jax as jax_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.scan.losses import loss_value
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array, as_state

__all__ = ["AbstractJaxModuleEngine", "AbstractJaxModuleProgram", "Module", "Records"]

Records = dict[str, tuple[Any, Any]]  # the carry and the sequence, in the order of computation, by recurrent layer


class Module(Protocol):
    """A converted module as a pure function of arrays by name."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each array by name, as the framework makes it."""

    def __call__(
        self, arrays: Mapping[str, Any], inputs: Mapping[str, Any], starts: Mapping[str, AnyState], *, train: bool
    ) -> tuple[tuple[Any, ...], Records]:
        """Return the outputs, and the last carry (cell before hidden) and the sequence of each recurrent layer."""


class AbstractJaxModuleEngine(AbstractEngine):
    """Executes the modules of one framework."""

    platform = jax_platform
    program: ClassVar[type[AbstractJaxModuleProgram]]

    def __init__(self) -> None:
        jax_platform.set_tf32(False)

    def prepare(self, job: Job) -> AbstractJaxModuleProgram:
        """Return a program for the job.

        Raises:
            EngineUnavailableError: for float64 where JAX's x64 mode is off.
        """
        if job.dtype == "float64":
            jax_platform.require_x64(self.program.engine)
        return self.program(job)

    def operations(self) -> Operations:
        """Return jitted `jax.numpy`."""
        return jax_platform.operations()


class AbstractJaxModuleProgram(AbstractConvertedProgram):
    """One converted model; a forward pass and a gradient are each one compiled function."""

    no_update: ClassVar = "a module has no optimizer"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._device, dtype = jax.devices(job.device)[0], jnp.dtype(stored(job.dtype))
        self._state = self.state(job.spec)
        self._masked = masked_layers(job.spec)
        self._module = self.module(self.source(self.source_of), job.spec, dtype)
        self._forward = jax.jit(self._answers)
        self._evaluate = jax.jit(partial(self._total_loss, train=False))
        self._backward = jax.jit(jax.value_and_grad(partial(self._total_loss, train=True), has_aux=True))
        self._arrays: dict[str, Any] = {}

    @abc.abstractmethod
    def state(self, spec: Graph) -> AbstractState:
        """Return the names and layouts of the arrays."""

    @abc.abstractmethod
    def source_of(self, spec: Graph) -> str:
        """Return the source of a spec."""

    @abc.abstractmethod
    def module(self, source: str, spec: Graph, dtype: Any) -> Module:
        """Return the module that source defines."""

    @abc.abstractmethod
    def further(self, spec: Graph) -> Mapping[str, int]:
        """Return the number of parameters that the module has more than Keras, by layer."""

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Load the parameters that `multilstm convert` writes for the weights; they must be those of the module."""
        arrays = self.arrays(self._state, weights)
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != self._module.shapes:
            raise RuntimeError(f"{self.engine}: given parameters {shapes}, expected {self._module.shapes}")
        self._arrays = jax.device_put(arrays, self._device)

    def weights(self) -> dict[str, Array]:
        """Return all weights, in Keras's layout."""
        return self._state.to_keras(_numpy(self._arrays))

    def parameter_counts(self) -> dict[str, int]:
        """Return the framework's counts by layer, statistics included, without the parameters that Keras lacks."""
        counts = {layer: -further for layer, further in self.further(self._spec).items()}
        owners = self._state.owners()
        for name, shape in self._module.shapes.items():
            counts[owners[name]] += int(np.prod(shape, dtype=int))
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        self.check_step(kind, batch)
        masked = sorted(place for place in states if place.split("/")[0] in self._masked)
        if masked:
            raise UnsupportedError(
                f"{self.engine}: {self._spec.layer(masked[0].split('/')[0]).label} has a mask and a given state, which "
                f"its module takes from the graph alone"
            )
        jax_platform.set_tf32(self._tf32)
        inputs = {name: jnp.asarray(batch.inputs[name], device=self._device) for name in self._spec.inputs}
        starts = {name: as_state(*(jnp.asarray(a, device=self._device) for a in s)) for name, s in states.items()}
        floats, given = self._spec.sources(states)
        loss, gradients = None, None
        with jax.default_device(self._device):
            if kind == "forward":
                outputs, records = self._forward(self._arrays, inputs, starts)
            else:
                trained = {name: a for name, a in self._arrays.items() if not self._is_statistic(name)}
                others = {name: a for name, a in self._arrays.items() if name not in trained}
                sources = trained, {name: inputs[name] for name in floats}, {name: starts[name] for name in given}
                arguments = sources, (others, inputs, starts), tuple(batch.targets)
                if kind == "evaluate":
                    loss, (outputs, records) = self._evaluate(*arguments)
                else:
                    (loss, (outputs, records)), gradients = self._backward(*arguments)
        self.places = jax_platform.places((outputs, gradients or ()))
        weights, of_inputs, of_states = gradients or ({}, {}, {})
        return Answer(
            loss=None if loss is None else float(loss),
            outputs=_numpy(outputs),
            gradients=self._state.to_keras(_numpy(weights), gradients=True) if weights else {},
            input_gradients=_numpy(of_inputs),
            state_gradients=_numpy(of_states),
            **self._recorded(_numpy(records)),
        )

    def _is_statistic(self, name: str) -> bool:
        return self._state.is_statistic(name.rpartition(".")[2])

    def _answers(self, arrays: Any, inputs: Any, starts: Any) -> tuple[tuple[Any, ...], Records]:
        return self._module(arrays, inputs, starts, train=False)

    def _total_loss(self, sources: Any, rest: Any, targets: Any, *, train: bool) -> tuple[Any, Any]:
        """Return the sum of the losses of all outputs; penalties of weights are in no module."""
        (trained, floats, given), (others, inputs, starts) = sources, rest
        outputs, records = self._module(trained | others, inputs | floats, starts | given, train=train)
        return loss_value(str(self._loss), outputs, targets, [None] * len(outputs)), (outputs, records)

    def _recorded(self, records: Records) -> dict[str, Any]:
        """Return sequences, last outputs and states by recurrent layer and direction."""
        sequences, last_outputs, states = {}, {}, {}
        for place, (carry, sequence) in records.items():
            states[place] = as_state(*(reversed(carry) if isinstance(carry, tuple) else [carry]))
            if self._spec.recurrent[place].return_sequences:
                sequences[place] = sequence
            else:
                last_outputs[place] = sequence[:, -1].copy()
        return {"sequences": sequences, "last_outputs": last_outputs, "states": states}


def _numpy(tree: Any) -> Any:
    """Return the tree with writable NumPy arrays that own their memory."""
    return jax.tree.map(np.array, tree)
