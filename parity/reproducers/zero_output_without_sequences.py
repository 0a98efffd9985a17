"""Keras: zero_output_for_mask zeroes the last output without return_sequences; its documentation excludes that."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2, zero_output_for_mask=True)
output = layer(np.random.default_rng(0).normal(size=(1, 3, 4)), mask=np.array([[True, True, False]]))
output = keras.ops.convert_to_numpy(output)
print(f"the last output where the last timestep is masked: {output.tolist()}")
sys.exit(int(not output.any()))
