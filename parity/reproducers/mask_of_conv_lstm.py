"""Keras on JAX: a ConvLSTM2D compares its mask of timesteps with the columns of the images."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
images = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1)).astype("float32")
mask = np.array([[True, True, False], [True, True, True]])
layer = keras.layers.ConvLSTM2D(2, 2)  # three columns, two sequences
try:
    masked = keras.ops.convert_to_numpy(layer(images, mask=mask))
except ValueError as error:
    print(f"a mask of 2 sequences: {' '.join(str(error).split())[:160]}")
    sys.exit(1)
shorter = keras.ops.convert_to_numpy(layer(images[:, :2]))
apart = float(np.abs(masked[0] - shorter[0]).max())
print(f"a sequence with a masked end and one without that end differ by {apart:.1e}")
sys.exit(int(apart > 1e-6))
