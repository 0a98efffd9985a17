"""Keras on TensorFlow: TimeDistributed uses the batch size as the number of timesteps if both may vary."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None, 3))
sequences = keras.layers.LSTM(4, return_sequences=True)(inputs)
model = keras.Model(inputs, keras.layers.TimeDistributed(keras.layers.Dense(2))(sequences))
shapes = [model.predict(np.ones((2, timesteps, 3)), verbose=0).shape for timesteps in (3, 5)]
print(f"2 sequences of 3 and of 5 timesteps gave outputs of the shapes {shapes}")
sys.exit(int(shapes[1] != (2, 5, 2)))
