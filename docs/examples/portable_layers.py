"""One line to change: a stateful LSTM that keeps its state on every backend.

KERAS_BACKEND=jax python portable_layers.py
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

from multilstm.keras_layers import LSTM


def two_calls(layer):
    """Predict the same sequence twice: a stateful LSTM goes on where it stopped, so the answers differ."""
    model = keras.Sequential([keras.Input(batch_shape=(1, 3, 1)), layer])
    model.set_weights([np.full(weight.shape, 0.5) for weight in model.get_weights()])
    x = np.ones((1, 3, 1), "float32")
    return [float(model.predict(x, verbose=0)[0, 0]) for _ in range(2)]


plain = two_calls(keras.layers.LSTM(1, stateful=True))
portable = two_calls(LSTM(1, stateful=True))
print("keras.layers.LSTM             {:.3f} {:.3f}".format(*plain))
print("multilstm.keras_layers.LSTM   {:.3f} {:.3f}".format(*portable))
print("plain Keras lost the state" if plain[0] == plain[1] else "plain Keras kept the state")
