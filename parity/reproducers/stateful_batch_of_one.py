"""Keras on TensorFlow: evaluate() and fit() of one sequence, without batch_size, fail for a stateful LSTM."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input(batch_shape=(1, 3, 4))
model = keras.Model(inputs, keras.layers.LSTM(5, stateful=True)(inputs))
model.compile("sgd", "mse")
try:
    model.evaluate(np.ones((1, 3, 4), "float32"), np.zeros((1, 5), "float32"), verbose=0)
except ValueError as error:
    print(f"evaluate raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("evaluate gave a loss")
sys.exit(0)
