"""Keras: Attention of a sequence whose values are all masked returns the masked values."""

import sys

import keras
import numpy as np

value = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3, 1)
mask = keras.ops.convert_to_tensor(np.array([[True, True, False], [False, False, False]]))
attended = [
    keras.ops.convert_to_numpy(kind()([np.ones((2, 1, 1), np.float32), value], mask=[None, mask]))[1].item()
    for kind in (keras.layers.Attention, keras.layers.AdditiveAttention)
]
print(f"attention to no value: {attended}")
sys.exit(int(any(attended)))
