"""Keras: an LSTM drops the mask of its input if an initial state is given too."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
x[:, 2:] = 0
states = [np.zeros((2, 5), "float32")] * 2
lstm, masked = keras.layers.LSTM(5), keras.layers.Masking()(x)
without, given = (keras.ops.convert_to_numpy(lstm(masked, **a)) for a in ({}, {"initial_state": states}))
apart = float(np.abs(without - given).max())
print(f"masked sequences, with an initial state of zero and without one, differ by {apart:.1e}")
sys.exit(int(apart > 1e-6))
