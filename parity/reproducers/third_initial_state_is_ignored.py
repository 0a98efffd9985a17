"""Keras on PyTorch: an LSTM accepts three initial states and ignores the third; other backends raise an error."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
try:
    keras.layers.LSTM(2)(np.ones((3, 4, 1), "float32"), initial_state=[np.ones((3, 2), "float32")] * 3)
except Exception as error:
    print(f"three initial states raised {type(error).__name__}, as they should")
    sys.exit(0)
print("three initial states were taken")
sys.exit(1)
