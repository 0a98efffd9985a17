"""Keras on PyTorch: training an LSTM(stateful=True) raises a RuntimeError about an in-place operation."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input(batch_shape=(2, 3, 4))
model = keras.Model(inputs, keras.layers.LSTM(5, stateful=True)(inputs))
model.compile("sgd", "mse")
try:
    model.train_on_batch(np.ones((2, 3, 4), "float32"), np.zeros((2, 5), "float32"))
except RuntimeError as error:
    print(f"train_on_batch raised {error}")
    sys.exit(1)
print("train_on_batch made a step")
sys.exit(0)
