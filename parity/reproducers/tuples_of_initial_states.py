"""Keras on JAX: stacked cells refuse initial states that are tuples instead of lists."""

import sys

import keras
import numpy as np

layer = keras.layers.RNN([keras.layers.LSTMCell(2), keras.layers.LSTMCell(2)])
state = np.zeros((2, 2), "float32")
try:
    layer(np.ones((2, 3, 1), "float32"), initial_state=[(state, state), (state, state)])
except TypeError as error:
    print(f"the call raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("the call gave an output")
sys.exit(0)
