"""Keras on JAX: a Reshape, Permute or Cropping1D that changes nothing keeps its mask; other backends drop it."""

import sys

import keras
import numpy as np

x = np.ones((1, 3, 2), np.float32)
x[:, 2] = 0
kept = []
for layer in (keras.layers.Reshape((3, 2)), keras.layers.Permute((1, 2)), keras.layers.Cropping1D(0)):
    inputs = keras.Input((3, 2))
    lstm = keras.layers.LSTM(1, return_sequences=True, zero_output_for_mask=True, bias_initializer="ones")
    model = keras.Model(inputs, lstm(layer(keras.layers.Masking()(inputs))))
    kept.append(bool(model.predict(x, verbose=0)[0, 2, 0] == 0))
print(f"masks behind Reshape, Permute and Cropping1D: {kept}")
sys.exit(int(any(kept)))
