"""Keras on JAX: LSTM(stateful=True) does not carry its state from one predict() to the next."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input(batch_shape=(2, 3, 4))
model = keras.Model(inputs, keras.layers.LSTM(5, stateful=True)(inputs))
x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
moved = float(np.abs(first - second).max())
print(f"two predict() of one batch differ by {moved:.1e}; the carried state should make them differ")
sys.exit(int(moved == 0))
