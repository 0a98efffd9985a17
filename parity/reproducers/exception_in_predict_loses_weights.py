"""Keras on JAX: an exception inside predict() loses the model's weights."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None, 1))
model = keras.Model(inputs, keras.layers.LSTM(2)(inputs))
weights = model.get_weights()
try:
    model.predict(np.ones((1, 3, 2), "float32"), verbose=0)  # two features instead of one
except Exception as error:
    print(f"predict raised {type(error).__name__}, as it should")
try:
    same = all((a == b).all() for a, b in zip(weights, model.get_weights(), strict=True))
except Exception as error:
    print(f"then get_weights raised {type(error).__name__}: {error}")
    sys.exit(1)
print(f"the weights are the same as before: {same}")
sys.exit(int(not same))
