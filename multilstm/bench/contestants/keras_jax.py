"""Keras on JAX: `stateless_call` under `jax.jit`, and Keras's trainer."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import jax
import keras

from multilstm.bench.contestants.base import Run
from multilstm.bench.contestants.jax_base import Compiled
from multilstm.bench.contestants.keras_base import AbstractKerasContestant, AbstractKerasProgram
from multilstm.frameworks import jax as jax_platform
from multilstm.frameworks import kernels
from multilstm.jobs.job import Job
from multilstm.scan import tune_cpu


@final
class KerasJaxContestant(AbstractKerasContestant):
    """Keras's JAX backend, which compiles by default.

    Args:
        options: `tuned` calls `tune_cpu` of `multilstm.scan` first.
    """

    platform = jax_platform

    def __init__(self, *options: str) -> None:
        self._tuned = tune_cpu() if "tuned" in options else {}

    def program(self, job: Job) -> AbstractKerasProgram:
        return _Program(job, "auto")

    def switches(self) -> dict[str, str]:
        return {**jax_platform.switches(), **self._tuned}


@final
class _Program(AbstractKerasProgram):
    def forward(self) -> Run:
        weights, others = self._values()
        x = self._tensors(0)
        return self._compiled(self._outputs, (weights, others, x), self.outputs)

    def gradient(self) -> Run:
        weights, others = self._values()

        def loss(weights: Any, others: Any, x: Any, targets: Any) -> Any:
            with keras.StatelessScope():
                outputs, _, penalties = self.model.stateless_call(weights, others, x, training=True, return_losses=True)
            losses = [self.loss(t, y) for t, y in zip(targets, keras.tree.flatten(outputs), strict=True)]
            return sum(losses) + sum(penalties)

        arguments = weights, others, self._tensors(0), keras.tree.flatten(self._tensors(1))
        return self._compiled(jax.grad(loss), arguments, self.gradients)

    def kernels(self, found: Set[str] | None = None) -> str:
        return ", ".join(sorted(kernels.confirmed(self.entered, found or {kernels.LOOP}, "lax.scan (Keras)")))

    def _outputs(self, weights: Any, others: Any, x: Any) -> Any:
        return self.model.stateless_call(weights, others, x, training=False)[0]

    def _compiled(self, function: Callable[..., Any], arguments: tuple[Any, ...], answers: Any) -> Run:
        compiled = Compiled(jax.jit(function), arguments)

        def phases() -> dict[str, float]:
            with self.recorded():
                return compiled.compile()

        return Run(
            lambda: compiled(*arguments),
            answers,
            lambda: self.kernels(kernels.of_hlo(compiled.text())),
            compile=phases,
            program_bytes=compiled.program_bytes,
        )

    def _values(self) -> tuple[list[Any], list[Any]]:
        groups = self.model.trainable_variables, self.model.non_trainable_variables
        trained, others = ([variable.value for variable in group] for group in groups)
        return trained, others

    def _tensors(self, part: int) -> Any:
        """Return the inputs (0) or the targets (1) of the first batch on the device."""
        return keras.tree.map_structure(jax.device_put, self.batches[0][part])
