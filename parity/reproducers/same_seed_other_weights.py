"""Keras: one seed gives other initial weights, and other dropout masks, on each backend."""

import sys

import keras

FIRST = {"tensorflow": 0.0242981, "jax": 0.2435354, "torch": -0.2269414}  # kernel[0, 0] after set_random_seed(0)
keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2)
layer.build((None, None, 2))
first = float(layer.get_weights()[0][0, 0])
others = {name: value for name, value in FIRST.items() if name != keras.backend.backend()}
print(f"the first weight is {first:.7f} here, and {others} elsewhere")
sys.exit(int(any(abs(first - value) > 1e-6 for value in others.values())))
