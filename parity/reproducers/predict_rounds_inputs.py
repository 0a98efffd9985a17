"""Keras: predict() rounds float64 inputs to floatx before a float64 layer sees them; model(x) does not."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
layer = keras.layers.LSTM(
    1, dtype="float64", activation="linear", recurrent_activation="linear", kernel_initializer="ones",
    recurrent_initializer="zeros", unit_forget_bias=False,
)  # fmt: skip
model = keras.Sequential([keras.Input((None, 1), dtype="float64"), layer])
error = abs(float(model.predict(np.full((1, 1, 1), 1 / 3), verbose=0)[0, 0]) - 1 / 27)
print(f"floatx {keras.config.floatx()}, dtype float64: predict is off by {error:.1e}")
sys.exit(int(error > 1e-12))
