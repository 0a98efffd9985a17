"""Keras on PyTorch: average pooling with an odd padding 'same' repeats the ends of a sequence in the mean."""

import sys

import keras
import numpy as np

x = np.array([1.0, 2.0, 6.0], np.float32)[None, :, None]
actual = keras.ops.convert_to_numpy(keras.layers.AveragePooling1D(4, 1, "same")(x)).ravel()
desired = np.array([3.0, 3.0, 4.0])
print(f"means of [1, 2, 6] in windows of four: {actual}; over the elements that exist: {desired}")
sys.exit(int(np.abs(actual - desired).max() > 1e-6))
