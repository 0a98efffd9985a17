"""Keras on TensorFlow: LSTM(unroll=True, go_backwards=True, zero_output_for_mask=True) zeroes the wrong timesteps.

The same happens in the backward half of Bidirectional(LSTM(unroll=True, return_sequences=True)).
"""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
if keras.backend.backend() == "torch":
    print("PyTorch raises: see unroll_backwards_mask_raises.py")
    sys.exit(0)
x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
layer = keras.layers.LSTM(2, return_sequences=True, go_backwards=True, zero_output_for_mask=True, unroll=True)
output = keras.ops.convert_to_numpy(layer(x, mask=np.array([[True, True, False]])))
print(f"first comes the last timestep, which is masked, then two that are not: {output[0].tolist()}")
sys.exit(int(not output[0, 1:].any(axis=-1).all()))
