"""Keras on JAX: `stateless_call` under jax.jit, as Keras's own trainer runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import jax
import keras

from multilstm.engines import jax_platform
from multilstm.engines.keras_base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.errors import EngineUnavailableError
from multilstm.job import Array, Job


@final
class KerasJaxEngine(AbstractKerasEngine):
    """Keras's JAX backend. Dots are computed at precision `highest`; float64 is true float64."""

    backend = "jax"

    def __init__(self) -> None:
        super().__init__()
        if not jax.config.jax_enable_x64:
            raise EngineUnavailableError("engine keras-jax needs JAX_ENABLE_X64=1 in its environment; it is not set")
        jax.config.update("jax_default_matmul_precision", "highest")

    def prepare(self, job: Job) -> KerasJaxProgram:
        """See `AbstractEngine.prepare`."""
        return KerasJaxProgram(job)

    def backend_versions(self) -> dict[str, str]:
        """JAX and jaxlib."""
        return jax_platform.versions()

    def devices(self) -> list[str]:
        """JAX's."""
        return jax_platform.devices()

    def switches(self) -> dict[str, str]:
        """JAX's, with the precision set above."""
        return jax_platform.switches(matmul=str(jax.config.jax_default_matmul_precision))

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Jitted."""
        return jax.jit(function)  # type: ignore[no-any-return]


@final
class KerasJaxProgram(AbstractKerasProgram):
    """Variables go in and come out of jitted functions; what Keras does not track does not come out."""

    loop = "lax.scan (Keras)"
    fused = "cuDNN"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._jitted = jax.jit(self._compute, static_argnames="kind")

    def run(
        self, kind: str, inputs: list[Array], masks: list[Array | None], targets: list[Array]
    ) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.run`."""
        model, optimizer = self.model, self.optimizer
        training = kind in ("gradient", "update")
        slots = [variable.value for variable in optimizer.variables] if training and optimizer is not None else []
        trainable = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        loss, outputs, gradients, trainable, other, slots = self._jitted(
            trainable, other, slots, inputs, masks, targets, kind="train" if training else kind
        )
        for variable, value in zip(model.non_trainable_variables, other, strict=True):
            variable.assign(value)
        if kind == "update":
            for variable, value in zip(model.trainable_variables, trainable, strict=True):
                variable.assign(value)
            for variable, value in zip(optimizer.variables, slots, strict=True):
                variable.assign(value)
        return loss, outputs, gradients if kind == "gradient" else []

    def _compute(
        self, trainable: Any, other: Any, slots: Any, inputs: Any, masks: Any, targets: Any, kind: str
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """`train` gives gradients and updates together: a gradient step drops the updates, and compiles nothing new."""
        training = kind == "train"

        def forward(weights: Any) -> tuple[Any, Any]:
            with keras.StatelessScope():
                outputs, after = self.model.stateless_call(weights, other, inputs, training=training, mask=masks)
            loss = None if kind == "forward" else self.total_loss(targets, outputs)
            return loss, (outputs, after)

        if not training:
            loss, (outputs, after) = forward(trainable)
            return loss, outputs, [], trainable, after, slots
        (loss, (outputs, after)), gradients = jax.value_and_grad(forward, has_aux=True)(trainable)
        if self.optimizer is not None:
            trainable, slots = self.optimizer.stateless_apply(slots, gradients, trainable)
        return loss, outputs, gradients, trainable, after, slots
