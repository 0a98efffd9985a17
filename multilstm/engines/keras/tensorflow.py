"""Keras on TensorFlow: one tf.function a model, with the model's symbolic shapes, as Keras's own trainer runs it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, final

import keras
import tensorflow as tf

from multilstm.engines.keras.base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.frameworks import kernels
from multilstm.frameworks import tensorflow as tensorflow_platform
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array


@final
class KerasTensorflowEngine(AbstractKerasEngine):
    """Keras's TensorFlow backend, without TF32 and without XLA (Keras's choice for an LSTM on CPU)."""

    platform = tensorflow_platform
    backend = "tensorflow"

    def __init__(self) -> None:
        super().__init__()
        tensorflow_platform.set_tf32(False)

    def prepare(self, job: Job) -> KerasTensorflowProgram:
        """See `AbstractEngine.prepare`."""
        return KerasTensorflowProgram(job)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A tf.function, without XLA."""
        return tf.function(function)  # type: ignore[no-any-return]


@final
class KerasTensorflowProgram(AbstractKerasProgram):
    """Dimensions that the spec leaves open stay open in the graph, so that a new length is no new trace."""

    platform = tensorflow_platform

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._functions: dict[tuple[Any, ...], Any] = {}
        self._found: set[str] = set()  # in the graph that was traced last
        self._apply = tf.function(lambda gradients: self.optimizer.apply(gradients, self.model.trainable_variables))

    def run(
        self, kind: str, inputs: list[Array], masks: list[Array | None], targets: list[Array]
    ) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.run`."""
        kind = "gradient" if kind == "update" else kind
        where = tuple(index for index, mask in enumerate(masks) if mask is not None)
        if (kind, where) not in self._functions:
            self._functions[kind, where] = self._trace(kind, where)
        loss, outputs, gradients = self._functions[kind, where](
            [tf.constant(array) for array in inputs],
            [tf.constant(masks[index]) for index in where],
            [tf.constant(array) for array in targets] if kind != "forward" else [],
        )
        return (None if kind == "forward" else loss), outputs, gradients

    def kernels(self, entered: Set[str]) -> set[str]:
        """As the graph says, of which cuDNN's operation has no other kernel."""
        return kernels.confirmed(entered, self._found, "tf.while_loop (Keras)")

    def place(self, tensor: Any) -> str:
        """See `AbstractKerasProgram.place`."""
        return "gpu" if "GPU" in tensor.device else "cpu"

    def apply(self, gradients: list[Any]) -> None:
        """See `AbstractKerasProgram.apply`; an Embedding's gradient comes sparse, as in Keras's own trainer."""
        self._apply(gradients)

    def _trace(self, kind: str, where: tuple[int, ...]) -> Any:
        shapes = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in self.model.inputs]
        outputs = self.model.outputs[: self.outputs_count] if kind != "forward" else []
        signature = (
            shapes,
            [tf.TensorSpec(shapes[index].shape[:2], tf.bool) for index in where],  # unrolling needs the length
            [tf.TensorSpec(tensor.shape, self.dtype) for tensor in outputs],
        )

        @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator]
        def compute(inputs: Any, given: Any, targets: Any) -> Any:
            masks: list[Any] = [None] * len(inputs)
            for index, mask in zip(where, given, strict=True):
                masks[index] = mask
            if kind in ("forward", "evaluate"):
                outputs = keras.tree.flatten(self.model(inputs, training=False, mask=masks))
                loss = tf.constant(0.0) if kind == "forward" else self.total_loss(targets, outputs, self.model.losses)
                return loss, outputs, []
            weights = [weight.value for weight in self.model.trainable_variables]
            others = [inputs[index] for index in self.sources]
            with tf.GradientTape() as tape:
                tape.watch(others)
                outputs = keras.tree.flatten(self.model(inputs, training=True, mask=masks))
                loss = self.total_loss(targets, outputs, self.model.losses)
            return loss, outputs, tape.gradient(loss, weights + others)

        self._found = tensorflow_platform.found(compute.get_concrete_function())
        return compute

    def dense(self, gradient: Any) -> Any:
        """See `AbstractKerasProgram.dense`; adds up what a sparse gradient says of one token several times."""
        return tf.convert_to_tensor(gradient)
