"""Keras on TensorFlow, as a graph (`tf.function`) or compiled by XLA, and Keras's trainer with the same setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from typing import Any, final

import keras
import tensorflow as tf

from multilstm.bench.contestants.base import Run
from multilstm.bench.contestants.keras_base import AbstractKerasContestant, AbstractKerasProgram
from multilstm.frameworks import kernels
from multilstm.frameworks import tensorflow as tensorflow_platform
from multilstm.jobs.job import Job


@final
class KerasTensorflowContestant(AbstractKerasContestant):
    """Keras's TensorFlow backend.

    Args:
        kind: `graph`, or `xla` for functions compiled by XLA. Keras's default chooses one of them for each model.
    """

    platform = tensorflow_platform

    def __init__(self, kind: str) -> None:
        self._xla = kind == "xla"

    def program(self, job: Job) -> AbstractKerasProgram:
        return _Program(job, self._xla)

    def switches(self) -> dict[str, str]:
        return {**tensorflow_platform.switches(), "jit_compile": str(self._xla)}


@final
class _Program(AbstractKerasProgram):
    def forward(self) -> Run:
        x = self._tensors(0)
        return self._compiled(lambda x: self.model(x, training=False), (x,), self.outputs)

    def gradient(self) -> Run:
        def gradient(x: Any, targets: Any) -> Any:
            weights = [variable.value for variable in self.model.trainable_variables]
            with tf.GradientTape() as tape:
                loss = self.total_loss(keras.tree.flatten(targets), keras.tree.flatten(self.model(x, training=True)))
            return [tf.convert_to_tensor(array) for array in tape.gradient(loss, weights)]

        return self._compiled(gradient, (self._tensors(0), self._tensors(1)), self.gradients)

    def kernels(self, found: Set[str] | None = None) -> str:
        names = kernels.confirmed(self.entered, found or {kernels.LOOP}, "tf.while_loop (Keras)")
        return ", ".join(sorted(names)) + (", compiled by XLA" if self.model.jit_compile else "")

    def _compiled(self, function: Callable[..., Any], arguments: tuple[Any, ...], answers: Any) -> Run:
        compiled = tf.function(function, jit_compile=self.model.jit_compile, autograph=False)
        found: set[str] = set()

        def phases() -> dict[str, float]:
            begin = time.perf_counter()
            with self.recorded():
                concrete = compiled.get_concrete_function(*arguments)
            found.update(tensorflow_platform.found(concrete))
            return {"trace_s": time.perf_counter() - begin}

        def call() -> Any:
            value = compiled(*arguments)
            keras.tree.flatten(value)[-1].numpy()  # a GPU computes while Python continues
            return value

        return Run(call, answers, lambda: self.kernels(found), compile=phases)

    def _tensors(self, part: int) -> Any:
        """Return the inputs (0) or the targets (1) of the first batch on the device."""
        return keras.tree.map_structure(tf.constant, self.batches[0][part])
