"""Keras: LSTM(dtype="bfloat16") cannot be built with its default recurrent initializer."""

import sys

import keras
import numpy as np

try:
    keras.layers.LSTM(3, dtype="bfloat16")(np.ones((2, 4, 2), "float32"))
except Exception as error:
    print(f"the layer raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("the layer gave an output")
sys.exit(0)
