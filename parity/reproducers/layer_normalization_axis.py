"""Keras on PyTorch: LayerNormalization over the timesteps of a sequence raises."""

import sys

import keras
import numpy as np

x = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
try:
    shape = tuple(keras.layers.LayerNormalization(axis=1)(x).shape)
    print(f"normalized over axis 1: shape {shape}")
    sys.exit(0)
except RuntimeError as error:
    print(f"normalized over axis 1: {str(error).splitlines()[-1][:200]}")
    sys.exit(1)
