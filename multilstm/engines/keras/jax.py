"""Keras on JAX: `stateless_call` under jax.jit, as Keras's own trainer runs it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import jax
import keras

from multilstm.engines.keras.base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks import jax as jax_platform
from multilstm.frameworks import kernels
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array


@final
class KerasJaxEngine(AbstractKerasEngine):
    """Keras's JAX backend. Dots are computed at precision `highest`; float64 is true float64."""

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
        """Jitted."""
        return jax.jit(function)  # type: ignore[no-any-return]


@final
class KerasJaxProgram(AbstractKerasProgram):
    """Variables go in and come out of jitted functions; what Keras does not track does not come out."""

    platform = jax_platform

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._compute = jax_platform.Watched(self._traced, static_argnames="kind")
        # Apart from the gradients, which every update shares with `gradient`: a new length compiles nothing else.
        self._apply = jax.jit(self.optimizer.stateless_apply) if self.optimizer is not None else None

    def run(
        self, kind: str, inputs: list[Array], masks: list[Array | None], targets: list[Array]
    ) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.run`."""
        model = self.model
        weights = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        traced = "gradient" if kind == "update" else kind
        loss, outputs, other, gradients = self._compute(weights, other, inputs, masks, targets, kind=traced)
        _assign(model.non_trainable_variables, other)
        return loss, outputs, gradients

    def kernels(self, entered: Set[str]) -> set[str]:
        """As the compiled program says."""
        return kernels.confirmed(entered, self._compute.found, "lax.scan (Keras)")

    def place(self, tensor: Any) -> str:
        """See `AbstractKerasProgram.place`."""
        return jax_platform.places(tensor).pop()

    def apply(self, gradients: list[Any]) -> None:
        """See `AbstractKerasProgram.apply`."""
        assert self._apply is not None
        weights, slots = self.model.trainable_variables, self.optimizer.variables
        after = self._apply([slot.value for slot in slots], gradients, [weight.value for weight in weights])
        _assign(weights, after[0])
        _assign(slots, after[1])

    def _traced(
        self, weights: Any, other: Any, inputs: Any, masks: Any, targets: Any, kind: str
    ) -> tuple[Any, Any, Any, Any]:
        def forward(weights: Any, sources: Any) -> tuple[Any, Any]:
            given = dict(enumerate(inputs)) | dict(zip(self.sources, sources, strict=True))
            with keras.StatelessScope():
                outputs, after, penalties = self.model.stateless_call(
                    weights, other, list(given.values()), training=kind == "gradient", mask=masks, return_losses=True
                )
            outputs = keras.tree.flatten(outputs)
            loss = None if kind == "forward" else self.total_loss(targets, outputs, penalties)
            return loss, (outputs, after)

        sources = [inputs[index] for index in self.sources]
        if kind == "gradient":
            differentiated = jax.value_and_grad(forward, (0, 1), has_aux=True)
            (loss, (outputs, after)), found = differentiated(weights, sources)
            gradients = [gradient for each in found for gradient in each]
        else:
            (loss, (outputs, after)), gradients = forward(weights, sources), []
        return loss, outputs, after, gradients


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
