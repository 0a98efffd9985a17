"""Engine `keras2`: Keras 2 in the version of tf-keras, an oracle for models that an old Keras made.

It builds the model from the spec, as every engine does, and computes what Keras 2 computed. It is a partial engine:
forward passes and gradients on a CPU, no updates.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Mapping, Set
from typing import Any, final

import tensorflow as tf
import tf_keras

from multilstm.engines.base import AbstractEngine
from multilstm.engines.keras.keras2_toolkit import Keras2Toolkit
from multilstm.engines.keras.tensorflow import AbstractTensorflowProgram
from multilstm.errors import EngineUnavailableError, UnsupportedError
from multilstm.frameworks import kernels
from multilstm.frameworks import tensorflow as tensorflow_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import MIXED
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState
from multilstm.spec.dialects.merged_masks import inner_mask_difference


class AbstractKeras2Engine(AbstractEngine):
    """tf-keras on TensorFlow, without XLA."""

    platform = tensorflow_platform

    def __init__(self) -> None:
        keras, tensorflow = tf_keras.__version__, tf.__version__
        if _release(keras) != _release(tensorflow):
            raise EngineUnavailableError(
                f"engine keras2 has tf-keras {keras} with TensorFlow {tensorflow}, expected one release of both; "
                f"install it with: pip install --no-deps 'tf-keras=={_release(tensorflow)}.*'"
            )
        tensorflow_platform.set_tf32(False)

    def versions(self) -> dict[str, str]:
        """Return the versions of tf-keras and TensorFlow."""
        return {"tf-keras": tf_keras.__version__, **self.platform.versions()}

    def prepare(self, job: Job) -> Keras2Program:
        """See `AbstractEngine.prepare`."""
        if job.device == "gpu":
            raise UnsupportedError("keras2: it computes on the CPU alone; leave the engine keras2 out on a GPU")
        if job.dtype in MIXED:
            raise UnsupportedError(
                f"keras2: it computes in float32 and float64, given {job.dtype}; leave the engine keras2 out"
            )
        passed = {call.layer for call in job.spec.calls if call.initial_state}
        for name, layer in job.spec.recurrent.items():
            if layer.stateful and name.split("/")[0] in passed:
                raise UnsupportedError(
                    f"keras2: {layer.class_name} {name!r} is stateful and gets its initial state from another layer; "
                    f"Keras 2 uses it only while the layer's own state is zero; leave the engine keras2 out, or give "
                    f"stateful=False"
                )
        for part in job.spec.layers:
            if reason := inner_mask_difference(part):
                raise UnsupportedError(f"keras2: {part.label}: {reason}; leave the engine keras2 out")
        return self.program(job)

    @abc.abstractmethod
    def program(self, job: Job) -> Keras2Program:
        """Return the program of a job that Keras 2 computes."""

    def operations(self) -> Operations:
        """Return the operations of TensorFlow, which tf-keras calls."""
        return tensorflow_platform.operations()


@final
class Keras2Engine(AbstractKeras2Engine):
    """Builds models from specs."""

    def program(self, job: Job) -> Keras2Program:
        """See `AbstractKeras2Engine.program`."""
        return Keras2Program(job)


class CrossentropyOfOutputs(tf_keras.losses.CategoricalCrossentropy):  # type: ignore[misc]
    """The crossentropy of the outputs; tf-keras alone would take the values before their activation.

    The row `categorical_crossentropy_logits` of the ledger describes the same of Keras 3 on TensorFlow.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """See `tf_keras.losses.Loss.call`."""
        return super().call(y_true, tf.identity(y_pred))


class Keras2Program(AbstractTensorflowProgram):
    """A functional model of tf-keras."""

    def __init__(self, job: Job) -> None:
        super().__init__(dataclasses.replace(job, optimizer=None))

    def make_loss(self, job: Job) -> Any:
        """Return the loss of the job, of the outputs themselves."""
        return CrossentropyOfOutputs() if job.loss == "categorical_crossentropy" else super().make_loss(job)

    def make_toolkit(self, job: Job) -> Keras2Toolkit:
        """Return the classes of tf-keras."""
        return Keras2Toolkit()

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """See `AbstractProgram.step`.

        Raises:
            UnsupportedError: for an update, and for dropout inside a recurrent layer in training.
        """
        if kind == "update":
            raise UnsupportedError("keras2: it computes no updates of an optimizer; leave the engine keras2 out")
        for name in batch.dropout:
            layer, _, argument = name.rpartition("/")
            if layer:
                raise UnsupportedError(
                    f"keras2: {self.spec.recurrent[layer].class_name} {layer!r} trains with {argument}; Keras 2 draws "
                    f"these masks itself; leave the engine keras2 out, or put a Dropout layer below the layer"
                )
        return super().step(kind, batch, states)

    def recording(self) -> contextlib.AbstractContextManager[set[str]]:
        """Return the paths that the spec selects: tf-keras has a loop with and without unrolling."""
        layers = self.spec.recurrent.values()
        return contextlib.nullcontext({kernels.UNROLLED if layer.unroll else kernels.LOOP for layer in layers})

    def kernels(self, entered: Set[str]) -> set[str]:
        """Read the loops from the graph."""
        return kernels.confirmed(entered, self.found, "tf.while_loop (tf-keras)")

    def trained(self) -> list[Any]:
        """See `AbstractTensorflowProgram.trained`."""
        return list(self.model.trainable_variables)

    def apply(self, gradients: list[Any]) -> None:
        """Refuse: `step` raises before an update."""
        raise AssertionError("keras2 computes no updates")


def _release(version: str) -> str:
    """Return the major and the minor number of a version."""
    return ".".join(version.split(".")[:2])
