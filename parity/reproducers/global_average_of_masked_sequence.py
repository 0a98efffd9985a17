"""Keras: GlobalAveragePooling1D returns NaN for a sequence whose timesteps are all masked."""

import sys

import keras
import numpy as np

x = np.ones((2, 3, 1), np.float32)
mask = np.array([[True, True, False], [False, False, False]])
means = keras.layers.GlobalAveragePooling1D()(x, mask=keras.ops.convert_to_tensor(mask))
means = keras.ops.convert_to_numpy(means).ravel()
print(f"means over two timesteps and over none: {means}")
sys.exit(int(np.isnan(means).any()))
