"""Keras: training an LSTM with dropout and implementation=1 raises an error, unless use_cudnn is False."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
try:
    keras.layers.LSTM(4, dropout=0.5, implementation=1)(np.ones((2, 5, 3), "float32"), training=True)
except Exception as error:
    print(f"the call raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print("the call gave an output")
sys.exit(0)
