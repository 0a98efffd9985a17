"""Keras on PyTorch: the states of an LSTM(stateful=True) stay zero under a mixed precision."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(5, stateful=True, dtype="mixed_bfloat16")
layer(np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32"))
largest = [float(np.abs(keras.ops.convert_to_numpy(state.value).astype("float32")).max()) for state in layer.states]
print(f"after a batch the largest hidden and cell states are {largest[0]:.3f} and {largest[1]:.3f}")
sys.exit(int(max(largest) == 0))
