"""Keras on TensorFlow and JAX: LSTM(use_cudnn=True) raises an error on a CPU; PyTorch computes it."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
try:
    keras.layers.LSTM(2, use_cudnn=True)(np.ones((1, 3, 4), "float32"))
except ValueError as error:
    print(f"the call raised {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("the call gave an output")
sys.exit(0)
