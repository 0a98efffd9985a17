"""Keras: NaN in masked timesteps reaches every weight in one training step."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
x[:, 2:] = np.nan
mask = np.array([[True, True, False, False]] * 2)
inputs, given = keras.Input((4, 3)), keras.Input((4,), dtype="bool")
model = keras.Model([inputs, given], keras.layers.LSTM(2)(inputs, mask=given))
model.compile("sgd", "mse")
loss = float(model.train_on_batch([x, mask], np.zeros((2, 2), "float32")))
finite = [bool(np.isfinite(weight).all()) for weight in model.get_weights()]
print(f"the loss is {loss:.4f}; after it kernel, recurrent_kernel and bias are finite: {finite}")
sys.exit(int(not all(finite)))
