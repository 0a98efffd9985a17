"""Keras: reset_state() of a stateful RNN of stacked cells raises an AttributeError."""

import sys

import keras
import numpy as np

layer = keras.layers.RNN([keras.layers.LSTMCell(2), keras.layers.LSTMCell(2)], stateful=True)
layer(np.ones((2, 3, 1), "float32"))
try:
    layer.reset_state()
except AttributeError as error:
    print(f"reset_state raised {error}")
    sys.exit(1)
print("reset_state set the states to zero")
sys.exit(0)
