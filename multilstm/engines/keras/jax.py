"""Keras on JAX: `stateless_call` under `jax.jit`, as Keras's own trainer runs it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import jax
import keras

from multilstm.engines.keras.base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.engines.keras.layout import Inputs
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks import jax as jax_platform
from multilstm.frameworks import kernels
from multilstm.jobs.job import Job


@final
class KerasJaxEngine(AbstractKerasEngine):
    """Keras's JAX backend, with matrix products at precision `highest` and true float64."""

    platform = jax_platform
    backend = "jax"

    def __init__(self) -> None:
        super().__init__()
        if not jax.config.jax_enable_x64:
            raise EngineUnavailableError("engine keras-jax needs JAX_ENABLE_X64=1 in its environment; it is not set")
        jax_platform.set_tf32(False)

    def prepare(self, job: Job) -> KerasJaxProgram:
        """See `AbstractEngine.prepare`."""
        return KerasJaxProgram(job)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function under `jax.jit`."""
        return jax.jit(function)  # type: ignore[no-any-return]


@final
class KerasJaxProgram(AbstractKerasProgram):
    """Jitted functions that take and return all variables that Keras tracks."""

    platform = jax_platform

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._compute = jax_platform.Watched(self._traced, static_argnames="kind")
        # An update shares the program of `gradient`, so a new length compiles that program alone.
        self._apply = jax.jit(self.optimizer.stateless_apply) if self.optimizer is not None else None

    def compute(self, kind: str, inputs: Inputs) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.compute`."""
        weights = [variable.value for variable in self.model.trainable_variables]
        others = [variable.value for variable in self.model.non_trainable_variables]
        traced = "gradient" if kind == "update" else kind
        loss, outputs, others, gradients = self._compute(weights, others, *inputs, kind=traced)
        _assign(self.model.non_trainable_variables, others)
        return loss, outputs, gradients

    def kernels(self, entered: Set[str]) -> set[str]:
        """Read the kernels from the compiled program."""
        return kernels.confirmed(entered, self._compute.found, "lax.scan (Keras)")

    def place(self, tensor: Any) -> str:
        """See `AbstractKerasProgram.place`."""
        return jax_platform.places(tensor).pop()

    def apply(self, gradients: list[Any]) -> None:
        """See `AbstractKerasProgram.apply`."""
        assert self._apply is not None
        weights, slots = self.model.trainable_variables, self.optimizer.variables
        new_weights, new_slots = self._apply(
            [slot.value for slot in slots], gradients, [weight.value for weight in weights]
        )
        _assign(weights, new_weights)
        _assign(slots, new_slots)

    def _traced(
        self, weights: Any, others: Any, inputs: Any, masks: Any, targets: Any, kind: str
    ) -> tuple[Any, Any, Any, Any]:
        """Return the loss, the outputs, the variables that are not trained, and the gradients."""

        def forward(weights: Any, sources: Any) -> tuple[Any, Any]:
            values = dict(enumerate(inputs)) | dict(zip(self.sources, sources, strict=True))
            with keras.StatelessScope():
                outputs, after, penalties = self.model.stateless_call(
                    weights, others, list(values.values()), training=kind == "gradient", mask=masks, return_losses=True
                )
            outputs = keras.tree.flatten(outputs)
            loss = None if kind == "forward" else self.total_loss(targets, outputs, penalties)
            return loss, (outputs, after)

        sources = [inputs[index] for index in self.sources]
        if kind == "gradient":
            differentiated = jax.value_and_grad(forward, (0, 1), has_aux=True)
            (loss, (outputs, after)), (of_weights, of_sources) = differentiated(weights, sources)
            gradients = [*of_weights, *of_sources]
        else:
            (loss, (outputs, after)), gradients = forward(weights, sources), []
        return loss, outputs, after, gradients


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
