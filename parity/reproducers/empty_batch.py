"""Keras on TensorFlow: an LSTM raises an error for an empty batch; other backends return an empty output."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2)
layer(np.ones((1, 3, 4), "float32"))
try:
    output = layer(np.ones((0, 3, 4), "float32"))
except Exception as error:
    print(f"no sequences raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print(f"no sequences gave an output of the shape {tuple(output.shape)}")
sys.exit(0)
