"""Keras on PyTorch: LSTM(unroll=True, go_backwards=True) raises an AttributeError if a mask is given."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2, go_backwards=True, unroll=True)
try:
    layer(np.ones((1, 3, 4), "float32"), mask=np.array([[True, True, False]]))
except AttributeError as error:
    print(f"the call raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("the call gave an output")
sys.exit(0)
