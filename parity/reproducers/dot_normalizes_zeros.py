"""Keras on JAX and PyTorch: Dot(normalize=True) has a gradient of NaN at a vector of zeros, as of a masked timestep."""

import sys

import keras
import numpy as np

inputs = keras.Input((3, 2)), keras.Input((3, 2))
dense = keras.layers.Dense(2, use_bias=False)
model = keras.Model(inputs, keras.layers.Dot(2, normalize=True)([dense(inputs[0]), inputs[1]]))
model.compile(keras.optimizers.SGD(0.1), "mse")
x = np.ones((1, 3, 2), np.float32)
x[:, 2] = 0
model.train_on_batch([x, np.ones_like(x)], np.ones((1, 3, 3), np.float32))
print(f"weights after a step: {dense.get_weights()[0].ravel()}")
sys.exit(int(np.isnan(dense.get_weights()[0]).any()))
