"""Keras's LSTM on TensorFlow, as a graph (`tf.function`) or compiled by XLA."""

from __future__ import annotations

from typing import Any, final

import keras
import tensorflow as tf

from multilstm.bench.contestants.base import FORWARD, GRADIENT, AbstractContestant, Run
from multilstm.bench.contestants.keras_base import named, sequential
from multilstm.bench.shapes import Problem
from multilstm.frameworks import tensorflow as tensorflow_platform


@final
class KerasTensorflowContestant(AbstractContestant):
    """A `tf.function` of the model.

    Args:
        kind: `graph`, or `xla` for a function compiled by XLA.
    """

    platform = tensorflow_platform

    def __init__(self, kind: str) -> None:
        self._xla = {"graph": False, "xla": True}[kind]

    def prepare(self, problem: Problem) -> dict[str, Run]:
        model = sequential(problem)
        weights = [variable.value for variable in model.trainable_variables]
        x, cotangent = tf.constant(problem.x), tf.constant(problem.cotangent)
        mask = None if problem.mask is None else tf.constant(problem.mask)

        @tf.function(jit_compile=self._xla)  # type: ignore[untyped-decorator]
        def forward(x: Any) -> Any:
            return model(x, mask=mask)

        @tf.function(jit_compile=self._xla)  # type: ignore[untyped-decorator]
        def gradient(x: Any, cotangent: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(x, mask=mask) * cotangent)
            return tape.gradient(loss, weights)

        return {
            FORWARD: Run(
                lambda: _wait(forward(x)),
                lambda y: {"sequence": y.numpy()},
                lambda: tensorflow_platform.implementation(forward, x, xla=self._xla),
            ),
            GRADIENT: Run(
                lambda: _wait(gradient(x, cotangent)),
                lambda tensors: named(problem, [tensor.numpy() for tensor in tensors]),
                lambda: tensorflow_platform.implementation(gradient, x, cotangent, xla=self._xla),
            ),
        }

    def versions(self) -> dict[str, str]:
        return {"keras": keras.__version__, "tensorflow": tf.__version__}


def _wait(value: Any) -> Any:
    """Return the value when the device has computed it; reading one number waits for a GPU too."""
    last = value[-1] if isinstance(value, list) else value
    tf.reshape(last, [-1])[0].numpy()
    return value
