"""Keras on TensorFlow: Adam updates an Embedding wrongly if a token is repeated in a batch.

The first step of Adam moves every weight that has a gradient by the learning rate, for any gradient.
"""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((None,), dtype="int32")
embedding = keras.layers.Embedding(6, 3)
model = keras.Model(inputs, keras.layers.LSTM(5)(embedding(inputs)))
model.compile(keras.optimizers.Adam(0.1), "mse")
before = embedding.get_weights()[0]
model.train_on_batch(np.array([[1, 2, 2, 3]], "int32"), np.ones((1, 5), "float32"))
moved = np.abs(embedding.get_weights()[0] - before).max(axis=1)
print(f"the largest first step of each token, 0.1 expected for 1, 2, 3: {moved.round(4).tolist()}")
sys.exit(int(abs(moved[2] - 0.1) > 1e-3))
