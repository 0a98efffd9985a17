"""Keras: Bidirectional of an LSTM with stateful=True and return_state=True raises a TypeError when it is called."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.Bidirectional(keras.layers.LSTM(2, stateful=True, return_state=True))
try:
    outputs = layer(np.ones((1, 3, 4), "float32"))
except TypeError as error:
    print(f"the call raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print(f"the call gave {len(outputs)} arrays")
sys.exit(0)
