"""Keras on JAX: predict() accepts 4 timesteps for a model whose Input has 3."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((3, 2))
model = keras.Model(inputs, keras.layers.LSTM(5)(inputs))
try:
    output = model.predict(np.ones((1, 4, 2), "float32"), verbose=0)
except ValueError:
    print("predict raised ValueError, as it should")
    sys.exit(0)
print(f"predict gave an output of the shape {output.shape}")
sys.exit(1)
