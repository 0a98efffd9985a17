"""Keras on TensorFlow: training behind a TimeDistributed raises, since it cuts the sequences."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None, 3))
sequences = keras.layers.LSTM(4, return_sequences=True)(inputs)
model = keras.Model(inputs, keras.layers.TimeDistributed(keras.layers.Dense(2))(sequences))
model.compile("sgd", "mse")
model.train_on_batch(np.ones((3, 3, 3)), np.ones((3, 3, 2)))  # at another shape, TensorFlow leaves both sizes open
try:
    print(f"the loss of a step of training is {model.train_on_batch(np.ones((2, 5, 3)), np.ones((2, 5, 2)))}")
    sys.exit(0)
except Exception as error:
    print(f"2 sequences of 5 timesteps: {type(error).__name__}: {' '.join(str(error).split())[-200:]}")
    sys.exit(1)
