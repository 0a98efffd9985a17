"""Keras: a functional model has neither reset_state() nor reset_states(); only its layers have."""

import sys

import keras

keras.utils.set_random_seed(0)
inputs = keras.Input(batch_shape=(2, 3, 4))
model = keras.Model(inputs, keras.layers.LSTM(5, stateful=True)(inputs))
found = [name for name in ("reset_state", "reset_states") if hasattr(model, name)]
print(f"of reset_state and reset_states the model has: {found}")
sys.exit(int(not found))
