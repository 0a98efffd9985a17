"""Keras on JAX: one initial state for all sequences of a batch raises a TypeError; other backends repeat it."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
state = [np.full((1, 2), 0.5, "float32")] * 2
try:
    output = keras.layers.LSTM(2)(np.ones((3, 4, 1), "float32"), initial_state=state)
except TypeError as error:
    print(f"an initial state [1, 2] for a batch of 3 raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print(f"an initial state [1, 2] for a batch of 3 gave an output of the shape {tuple(output.shape)}")
sys.exit(0)
