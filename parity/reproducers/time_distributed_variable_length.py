"""Keras on TensorFlow: TimeDistributed cuts sequences to as many timesteps as there are sequences, if both may vary."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None, 3))
sequences = keras.layers.LSTM(4, return_sequences=True)(inputs)
model = keras.Model(inputs, keras.layers.TimeDistributed(keras.layers.Dense(2))(sequences))
model.predict(np.ones((3, 3, 3)), verbose=0)  # at another shape, TensorFlow leaves both sizes open
shape = model.predict(np.ones((2, 5, 3)), verbose=0).shape
print(f"2 sequences of 5 timesteps gave an output of the shape {shape}")
sys.exit(int(shape != (2, 5, 2)))
