"""Keras on TensorFlow: categorical_crossentropy uses the logits before a sigmoid, which is another loss."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
inputs = keras.Input((4, 3))
sequences = keras.layers.LSTM(5, return_sequences=True)(inputs)
model = keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(sequences))
model.compile("sgd", keras.losses.CategoricalCrossentropy())
x, y = rng.normal(size=(2, 4, 3)).astype("float32"), rng.random((2, 4, 2)).astype("float32")
p = model.predict(x, verbose=0)
desired = -(y * np.log(p / p.sum(-1, keepdims=True))).sum(-1).mean()
actual = float(model.evaluate(x, y, verbose=0))
print(f"the loss is {actual:.6f}, its documentation's formula gives {desired:.6f}")
sys.exit(int(abs(actual - desired) > 1e-4))
