"""A file of Keras 2, loaded by tf-keras and executed: the proof that a written file means the same as its spec.

The environment variable `MULTILSTM_CONVERTED` names the file. Outputs of the forward pass are those of the loaded
model. Its layers, connected as in the spec, also return the states of recurrent layers, and compute the gradients.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, final

import h5py
import numpy as np
import tensorflow as tf
import tf_keras

from multilstm.engines.converted import converted_file
from multilstm.engines.keras.keras2 import AbstractKeras2Engine, Keras2Program
from multilstm.engines.keras.keras2_toolkit import Keras2Toolkit
from multilstm.errors import EngineUnavailableError, InputError, UnsupportedError
from multilstm.jobs.dtypes import stored
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec import Layer
from multilstm.spec.arrays import AnyState, Array


@final
class SavedKeras2Engine(AbstractKeras2Engine):
    """Executes the file of `MULTILSTM_CONVERTED` with tf-keras."""

    def __init__(self) -> None:
        super().__init__()
        if converted_file(".h5") is None:
            raise EngineUnavailableError("MULTILSTM_CONVERTED is not set; expected the path of a .h5 file")

    def program(self, job: Job) -> SavedKeras2Program:
        """Return the program of a job."""
        return SavedKeras2Program(job)


def _loaded(dtype: str) -> Any:
    """Return the model of the file, which computes in a dtype."""
    model = tf_keras.models.load_model(converted_file(".h5"), compile=False)
    if dtype == "float32":
        return model
    with h5py.File(converted_file(".h5")) as file:  # a loaded model has its numbers rounded to float32
        text = str(file.attrs["model_config"]).replace('"float32"', f'"{dtype}"')
    with Keras2Toolkit().defaults(dtype, dtype):
        other = type(model).from_config(json.loads(text)["config"])
    other.set_weights(model.get_weights())
    return other


class _FileToolkit(Keras2Toolkit):
    """The layers of a loaded model, which return the states of recurrent layers."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def make(self, layer: Layer) -> Any:
        """Return the loaded layer of that name, without dropout."""
        part = self._loaded.get_layer(layer.name)
        inner = [part, *(getattr(part, name) for name in ("forward_layer", "backward_layer") if hasattr(part, name))]
        for one in inner:
            if layer.state_names and not any(cell.stateful for cell in layer.recurrent.values()):
                one.return_state = True
            for rate in ("rate", "dropout", "recurrent_dropout"):
                for owner in (one, getattr(one, "cell", None), getattr(one, "layer", None)):
                    if rate in getattr(owner, "__dict__", {}):
                        setattr(owner, rate, 0.0)
        return part


@final
class SavedKeras2Program(Keras2Program):
    """The model of a file."""

    def __init__(self, job: Job) -> None:
        self._whole = _loaded(stored(job.dtype))
        super().__init__(job)

    def make_toolkit(self, job: Job) -> Keras2Toolkit:
        """Return the layers of the file."""
        if any(step.batch.states for step in job.steps):
            raise UnsupportedError("a file of Keras 2 takes no initial states but those of its graph; leave them out")
        # a second instance: its layers return states, and those of the whole model must not
        return _FileToolkit(_loaded(stored(job.dtype)))

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Check that the file holds these arrays.

        Raises:
            InputError: for a file with other numbers.
        """
        other = [
            name for name, array in self.weights().items() if not np.array_equal(array, weights[name], equal_nan=True)
        ]
        if other:
            raise InputError(f"the .h5 file has other numbers than the model, in {', '.join(other[:5])}")

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        answer = super().step(kind, batch, states)
        if kind != "forward" or batch.masks or states:
            return answer
        names = [tensor.name.split(":")[0] for tensor in self._whole.inputs]
        inputs = [tf.constant(batch.inputs[name]) for name in names]
        with self._context():
            outputs = tf.nest.flatten(self._whole(inputs if len(inputs) > 1 else inputs[0], training=False))
        return dataclasses.replace(answer, outputs=tuple(output.numpy() for output in outputs))
