"""Keras on JAX: `predict` takes integers of 64 bits for those of 32 bits, so that 4294967301 counts as 5."""

import sys

import keras
import numpy as np

inputs = keras.Input((1,), dtype="int64")
model = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
answer = float(model.predict(np.array([[2**32 + 5]]), verbose=0)[0, 0])
print(f"4294967301 times 1.0 is {answer:.0f}")
sys.exit(abs(answer - (2**32 + 5)) > 1e3)
