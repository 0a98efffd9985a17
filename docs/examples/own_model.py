"""Your own Keras model, with its own weights, on engines outside of Keras."""

import os

os.environ["KERAS_BACKEND"] = "jax"  # any backend: Keras only describes the model here

import keras
import numpy as np

from multilstm import parity
from multilstm.spec import from_json

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((None, 5)),
        keras.layers.LSTM(8, return_sequences=True, name="lower"),
        keras.layers.LSTM(4, name="upper"),
        keras.layers.Dense(2, activation="softmax", name="head"),
    ]
)
spec = from_json(model.to_json())
weights = {f"{layer.name}/{variable.name}": variable.numpy() for layer in model.layers for variable in layer.weights}
print(spec.summary())

x = np.random.default_rng(0).normal(size=(3, 7, 5)).astype("float32")
report = parity(spec, inputs=x, weights=weights, engines=["jax-scan", "torch-lstm"])
report.check()  # raises ParityError, naming engine, quantity and place
print(f"{len(report.cells)} quantities on 2 engines: all agree")
