"""Keras on JAX: a GRU without bias raises in mixed precision."""

import sys

import keras
import numpy as np

gru = keras.layers.GRU(4, use_bias=False, dtype="mixed_bfloat16")
try:
    print(f"a GRU without bias gave an output of the shape {tuple(gru(np.ones((2, 3, 5), 'float32')).shape)}")
    sys.exit(0)
except TypeError as error:
    print(f"a GRU without bias: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
