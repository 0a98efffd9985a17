"""Keras on TensorFlow: a `tf.function` with the model's symbolic shapes, as Keras's own trainer runs it."""

from __future__ import annotations

import abc
from collections.abc import Callable, Set
from typing import Any, final

import tensorflow as tf

from multilstm.engines.keras.base import AbstractKerasEngine, AbstractKerasProgram
from multilstm.engines.keras.layout import Inputs
from multilstm.frameworks import kernels
from multilstm.frameworks import tensorflow as tensorflow_platform
from multilstm.jobs.job import Job


@final
class KerasTensorflowEngine(AbstractKerasEngine):
    """Keras's TensorFlow backend, without TF32 and without XLA, as Keras chooses for an LSTM on a CPU."""

    platform = tensorflow_platform
    backend = "tensorflow"

    def __init__(self) -> None:
        super().__init__()
        tensorflow_platform.set_tf32(False)

    def prepare(self, job: Job) -> KerasTensorflowProgram:
        """See `AbstractEngine.prepare`."""
        return KerasTensorflowProgram(job)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a `tf.function`, without XLA."""
        return tf.function(function)  # type: ignore[no-any-return]


class AbstractTensorflowProgram(AbstractKerasProgram):
    """A graph for each kind of step. A new length reuses the graph: dimensions that the spec leaves open stay open."""

    platform = tensorflow_platform

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._functions: dict[tuple[Any, ...], Any] = {}
        self.found: set[str] = set()  # kernels in the last traced graph

    def compute(self, kind: str, inputs: Inputs) -> tuple[Any, list[Any], list[Any]]:
        """See `AbstractKerasProgram.compute`."""
        kind = "gradient" if kind == "update" else kind
        masked = tuple(index for index, mask in enumerate(inputs.masks) if mask is not None)
        if (kind, masked) not in self._functions:
            self._functions[kind, masked] = self._trace(kind, masked)
        loss, outputs, gradients = self._functions[kind, masked](
            [tf.constant(array) for array in inputs.values],
            [tf.constant(inputs.masks[index]) for index in masked],
            [tf.constant(array) for array in inputs.targets] if kind != "forward" else [],
        )
        return (None if kind == "forward" else loss), outputs, gradients

    @abc.abstractmethod
    def trained(self) -> list[Any]:
        """Return the trained weights of the model as TensorFlow's variables."""

    def place(self, tensor: Any) -> str:
        """See `AbstractKerasProgram.place`."""
        return "gpu" if "GPU" in tensor.device else "cpu"

    def _trace(self, kind: str, masked: tuple[int, ...]) -> Any:
        """Return the graph of one kind of step, for masks at the inputs of these positions."""
        shapes = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in self.model.inputs]
        outputs = self.model.outputs[: len(self.spec.outputs)] if kind != "forward" else []
        signature = (
            shapes,
            [tf.TensorSpec(shapes[index].shape[:2], tf.bool) for index in masked],  # unrolling needs the length
            [tf.TensorSpec(tensor.shape, self.dtype) for tensor in outputs],
        )

        @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator]
        def compute(inputs: Any, given_masks: Any, targets: Any) -> Any:
            masks: list[Any] = [None] * len(inputs)
            for index, mask in zip(masked, given_masks, strict=True):
                masks[index] = mask
            if kind in ("forward", "evaluate"):
                outputs = tf.nest.flatten(self.model(inputs, training=False, mask=masks))
                loss = tf.constant(0.0) if kind == "forward" else self.total_loss(targets, outputs, self.model.losses)
                return loss, outputs, []
            weights = self.trained()
            sources = [inputs[index] for index in self.sources]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                outputs = tf.nest.flatten(self.model(inputs, training=True, mask=masks))
                loss = self.total_loss(targets, outputs, self.model.losses)
            return loss, outputs, tape.gradient(loss, weights + sources)

        self.found = tensorflow_platform.found(compute.get_concrete_function())
        return compute

    def dense(self, gradient: Any) -> Any:
        """See `AbstractKerasProgram.dense`; sums the entries of a sparse gradient for one token."""
        return tf.convert_to_tensor(gradient)


@final
class KerasTensorflowProgram(AbstractTensorflowProgram):
    """A model of Keras 3."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._apply = tf.function(lambda gradients: self.optimizer.apply(gradients, self.model.trainable_variables))

    def trained(self) -> list[Any]:
        """See `AbstractTensorflowProgram.trained`."""
        return [weight.value for weight in self.model.trainable_variables]

    def kernels(self, entered: Set[str]) -> set[str]:
        """Read the kernels from the graph; its operation for cuDNN has no other kernel."""
        return kernels.confirmed(entered, self.found, "tf.while_loop (Keras)")

    def apply(self, gradients: list[Any]) -> None:
        """See `AbstractKerasProgram.apply`; the gradient of an Embedding is sparse, as in Keras's own trainer."""
        self._apply(gradients)
