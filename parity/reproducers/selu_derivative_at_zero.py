"""Keras on TensorFlow: the derivative of selu at 0 is that from the right, 1.05; elsewhere from the left, 1.76."""

import sys

import keras
import numpy as np

inputs = keras.Input((1, 2))
layer = keras.layers.LSTM(3, activation="selu", unit_forget_bias=False)
model = keras.Model(inputs, layer(inputs))
layer.set_weights([np.zeros(weight.shape) for weight in layer.get_weights()])
model.compile(keras.optimizers.SGD(1.0), "mse")
model.train_on_batch(np.zeros((1, 1, 2), "float32"), np.ones((1, 3), "float32"))
moved = float(layer.get_weights()[2][6])  # the cell's: 2 / 3, times 0.5 for each of two gates, times selu'(0) twice
derivative = (6 * moved) ** 0.5
print(f"derivative at 0: {derivative:.4f}")
sys.exit(int(derivative < 1.5))
