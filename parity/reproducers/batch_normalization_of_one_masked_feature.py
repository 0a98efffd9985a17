"""Keras on JAX and PyTorch: training a BatchNormalization of one feature with a mask raises an IndexError."""

import sys

import keras
import numpy as np

inputs = keras.Input((3, 1))
model = keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Masking(9.0)(inputs)))
model.compile("sgd", "mse", jit_compile=False)
x = np.array([[[1.0], [2.0], [9.0]], [[3.0], [5.0], [9.0]]], np.float32)
error = ""
try:
    model.train_on_batch(x, x)
except IndexError as reason:
    error = str(reason)
print(f"error of one step: {error or None}")
sys.exit(int(bool(error)))
