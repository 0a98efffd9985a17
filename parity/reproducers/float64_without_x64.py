"""Keras on JAX: with floatx float64 and without JAX_ENABLE_X64, weights with the dtype float64 hold float32."""

import sys
import warnings

import keras
import numpy as np

keras.utils.set_random_seed(0)
warnings.simplefilter("ignore")
keras.config.set_floatx("float64")
layer = keras.layers.LSTM(2)
output = layer(np.ones((1, 3, 1)))
said, held = layer.cell.kernel.dtype, keras.backend.standardize_dtype(layer.cell.kernel.value.dtype)
print(f"the kernel says {said}, and holds {held}; the output is {keras.backend.standardize_dtype(output.dtype)}")
sys.exit(int(held != "float64"))
