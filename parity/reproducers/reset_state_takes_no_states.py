"""Keras: `reset_state(states=...)`, which the documentation of RNN describes, raises a TypeError."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2, stateful=True)
layer(np.ones((1, 3, 4), "float32"))
try:
    layer.reset_state(states=[np.ones((1, 2), "float32")] * 2)
except TypeError as error:
    print(f"reset_state(states=...) raised {error}")
    sys.exit(1)
print("reset_state(states=...) set the states")
sys.exit(0)
