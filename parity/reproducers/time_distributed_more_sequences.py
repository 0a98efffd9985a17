"""Keras on TensorFlow: TimeDistributed raises if there are more sequences than timesteps, and both may vary."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None, 3))
sequences = keras.layers.LSTM(4, return_sequences=True)(inputs)
model = keras.Model(inputs, keras.layers.TimeDistributed(keras.layers.Dense(2))(sequences))
model.predict(np.ones((3, 3, 3)), verbose=0)  # at another shape, TensorFlow leaves both sizes open
try:
    shape = model.predict(np.ones((5, 2, 3)), verbose=0).shape
    print(f"5 sequences of 2 timesteps gave an output of the shape {shape}")
    sys.exit(0)
except Exception as error:
    print(f"5 sequences of 2 timesteps: {type(error).__name__}: {' '.join(str(error).split())[-200:]}")
    sys.exit(1)
