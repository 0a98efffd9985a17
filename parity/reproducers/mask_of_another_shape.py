"""Keras on PyTorch: a mask for two sequences gives two outputs for one sequence; other backends raise an error."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2, return_sequences=True)
try:
    output = layer(np.ones((1, 3, 1), "float32"), mask=np.ones((2, 3), bool))
except Exception as error:
    print(f"a mask of another batch size raised {type(error).__name__}, as it should")
    sys.exit(0)
print(f"1 sequence with a mask for 2 gave an output of the shape {tuple(output.shape)}")
sys.exit(1)
