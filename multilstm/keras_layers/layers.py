"""Recurrent layers for Keras users that behave the same on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops


@final
@keras.saving.register_keras_serializable(package="multilstm")
class LSTM(keras.layers.LSTM):
    """Keras's LSTM, whose `stateful=True` carries its states, and trains, on every backend.

    Its state variables are part of `variables`, as a Dropout's seed is, so that `predict`, `fit`, `evaluate` and
    `train_on_batch` carry them on JAX too; they are not part of `weights`, so that counts and files are unchanged.
    A batch starts from a copy of the carried states, so that PyTorch can differentiate through what it then
    overwrites. Gradients do not flow from one batch into the one before, as on every backend of Keras.

    Args, call arguments, weights: those of `keras.layers.LSTM`.
    """

    @property
    def variables(self) -> list[Any]:
        """All variables of the layer, its carried states included."""
        return [*super().variables, *(self.states or [])]

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """As `keras.layers.LSTM.call`: `[batch, timesteps, features]` to `[batch, (timesteps,) units]`."""
        if self.stateful and initial_state is None:
            initial_state = [ops.stop_gradient(ops.copy(state)) for state in self.states]
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)


@final
@keras.saving.register_keras_serializable(package="multilstm")
class TimeDistributed(keras.layers.TimeDistributed):
    """Keras's TimeDistributed for layers that treat samples alike, with any number of sequences and timesteps.

    Timesteps are folded into the batch, `[batch, timesteps, ...]` to `[batch * timesteps, ...]`, the layer is applied
    once, and its output is unfolded.

    Args:
        layer: a layer without state or batch statistics, such as Dense.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """As `keras.layers.TimeDistributed.call`."""
        shape = ops.shape(inputs)
        arguments: dict[str, Any] = {}
        if self.layer._call_has_mask_arg and mask is not None:
            arguments["mask"] = ops.reshape(mask, (-1, *mask.shape[2:]))
        if self.layer._call_has_training_arg:
            arguments["training"] = training
        folded = self.layer.call(ops.reshape(inputs, (-1, *inputs.shape[2:])), **arguments)
        return ops.reshape(folded, (shape[0], shape[1], *folded.shape[1:]))
