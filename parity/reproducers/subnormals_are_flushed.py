"""Keras on TensorFlow and JAX: an output below 1.2e-38 becomes 0 in predict(); on PyTorch it stays."""

import sys

import keras
import numpy as np

inputs = keras.Input((2, 1))
layer = keras.layers.LSTM(1)
model = keras.Model(inputs, layer(inputs))
layer.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), np.array([9.0, 9.0, 9.0, -88.0])])  # an almost closed gate
output = float(model.predict(np.ones((1, 2, 1), "float32"), verbose=0)[0, 0])
print(f"an output of about 5.8e-39 is {output:.3g}")
sys.exit(int(output == 0))
