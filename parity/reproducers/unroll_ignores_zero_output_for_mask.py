"""Keras on JAX: LSTM(unroll=True) ignores zero_output_for_mask, so outputs of a Bidirectional differ too."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
layer = keras.layers.LSTM(2, return_sequences=True, unroll=True, zero_output_for_mask=True)
output = keras.ops.convert_to_numpy(layer(x, mask=np.array([[True, True, False]])))
print(f"the output of the masked last timestep, zero expected: {output[0, 2].tolist()}")
sys.exit(int(output[0, 2].any()))
