"""Keras on JAX: an Embedding returns NaN for a token outside of its vocabulary; other backends raise an error."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
try:
    output = keras.ops.convert_to_numpy(keras.layers.LSTM(2)(keras.layers.Embedding(3, 2)(np.array([[1, 3]]))))
except Exception as error:
    print(f"token 3 of a vocabulary of 3 raised {type(error).__name__}, as it should")
    sys.exit(0)
print(f"token 3 of a vocabulary of 3 gave {output.tolist()}")
sys.exit(1)
