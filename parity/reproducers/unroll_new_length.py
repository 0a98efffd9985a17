"""Keras on TensorFlow: a Sequential of LSTM(unroll=True) without an Input raises an error at the second length."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.LSTM(2, unroll=True)])
try:
    for timesteps in (4, 5, 6):
        model.predict(np.ones((1, timesteps, 1), "float32"), verbose=0)
except ValueError as error:
    print(f"{timesteps} timesteps raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("4, 5 and 6 timesteps gave outputs")
sys.exit(0)
