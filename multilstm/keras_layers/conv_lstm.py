"""ConvLSTM2D for Keras users that behaves the same on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from typing import final

import keras

from multilstm.keras_layers.recurrent import Recurrent


@final
@keras.saving.register_keras_serializable(package="multilstm")
class ConvLSTM2D(Recurrent, keras.layers.ConvLSTM2D):  # type: ignore[misc]
    """Keras's ConvLSTM2D with carried states and masks that mean the same on every backend, as in `LSTM`.

    A mask of timesteps `[batch, timesteps]` works on every backend; on JAX, Keras applies it to columns, or fails.

    Args, call arguments, weights: those of `keras.layers.ConvLSTM2D`.
    """
