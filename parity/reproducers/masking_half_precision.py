"""Keras on TensorFlow: Masking(0.1) masks nothing in float16, which rounds 0.1 to another number."""

import sys

import keras
import numpy as np

x = keras.ops.convert_to_tensor(np.full((1, 2, 3), 0.1, "float16"))
mask = keras.ops.convert_to_numpy(keras.layers.Masking(0.1, dtype="float16").compute_mask(x))
print(f"timesteps of 0.1 that are kept, none expected: {mask.tolist()}")
sys.exit(int(mask.any()))
