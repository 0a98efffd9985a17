"""Keras: RNN([LSTMCell, LSTMCell], dtype=d) stacks the cells in the default dtype, and fails under a mask or on JAX."""

import sys

import keras
import numpy as np

cells = [keras.layers.LSTMCell(2, dtype="mixed_bfloat16") for _ in range(2)]
layer = keras.layers.RNN(cells, dtype="mixed_bfloat16")
mask = None if keras.backend.backend() == "jax" else np.ones((2, 3), bool)
try:
    output = layer(np.ones((2, 3, 1), "float32"), mask=mask)
except Exception as error:
    print(f"the call raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print(f"the call gave an output of dtype {keras.backend.standardize_dtype(output.dtype)}")
sys.exit(0)
