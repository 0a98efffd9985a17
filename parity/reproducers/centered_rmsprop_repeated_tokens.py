"""Keras on TensorFlow: centered RMSprop crashes on an Embedding if tokens are repeated in a batch."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None,), dtype="int32")
model = keras.Model(inputs, keras.layers.LSTM(5)(keras.layers.Embedding(5, 2)(inputs)))
model.compile(keras.optimizers.RMSprop(centered=True), "mse")
tokens = np.array([[1, 1, 1, 2], [2, 1, 0, 0], [3, 3, 3, 3]], "int32")
try:
    for _ in range(3):
        model.train_on_batch(tokens, np.ones((3, 5), "float32"))
except Exception as error:
    print(f"train_on_batch raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
finite = all(np.isfinite(weight).all() for weight in model.get_weights())
print(f"train_on_batch made three steps; all weights are finite: {finite}")
sys.exit(int(not finite))
