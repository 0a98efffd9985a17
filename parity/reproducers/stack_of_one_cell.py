"""Keras: RNN([LSTMCell(2)]), a stack of one cell, fails under a mask."""

import sys

import keras
import numpy as np

layer = keras.layers.RNN([keras.layers.LSTMCell(2)])
try:
    layer(np.ones((2, 3, 1), "float32"), mask=np.array([[True, True, False]] * 2))
except Exception as error:
    print(f"the call raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("the call gave an output")
sys.exit(0)
