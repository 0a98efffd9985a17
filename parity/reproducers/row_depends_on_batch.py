"""Keras on PyTorch: the last bits of a sequence's output depend on how many sequences are in its batch."""

import sys

import keras
import numpy as np

rng = np.random.default_rng(0)
inputs = keras.Input((None, 8))
layer = keras.layers.LSTM(32)
model = keras.Model(inputs, layer(inputs))
layer.set_weights([rng.normal(0, 0.3, shape).astype("float32") for shape in ((8, 128), (32, 128), (128,))])
x = rng.normal(size=(16, 50, 8)).astype("float32")
together = model.predict(x, verbose=0)
apart = max(float(np.abs(model.predict(x[:n], verbose=0) - together[:n]).max()) for n in (1, 2, 3, 5, 8))
print(f"the first sequences alone and in a batch of 16 differ by up to {apart:.1e}")
sys.exit(int(apart > 0))
