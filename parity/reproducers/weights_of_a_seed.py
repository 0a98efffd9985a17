"""Keras: one seed gives other initial weights on JAX and on PyTorch than on TensorFlow."""

import sys

import keras
import numpy as np

on_tensorflow = np.array([0.8784882, 0.45998025, 0.60029125, 0.39259768])
actual = keras.ops.convert_to_numpy(keras.initializers.RandomUniform(0.0, 1.0, seed=1)((4,)))
print(f"RandomUniform(0, 1, seed=1): {actual}; on TensorFlow: {on_tensorflow}")
sys.exit(int(np.abs(actual - on_tensorflow).max() > 1e-6))
