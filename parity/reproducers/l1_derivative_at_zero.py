"""Keras on JAX: the derivative of |x| at 0 in L1 is 1, which moves a weight of zero; elsewhere it is 0."""

import sys

import keras
import numpy as np

inputs = keras.Input((3, 2))
layer = keras.layers.LSTM(4, kernel_regularizer=keras.regularizers.L1(0.5))
model = keras.Model(inputs, layer(inputs))
layer.set_weights([np.zeros(weight.shape) for weight in layer.get_weights()])
model.compile(keras.optimizers.SGD(0.1), "mse")
model.train_on_batch(np.zeros((1, 3, 2), "float32"), np.zeros((1, 4), "float32"))
moved = float(np.abs(layer.get_weights()[0]).max())
print(f"a kernel of zeros, whose only gradient could be the penalty's, moved by {moved:.3f}")
sys.exit(int(moved > 0))
