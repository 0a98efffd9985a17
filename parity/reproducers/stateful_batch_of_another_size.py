"""Keras on TensorFlow: a stateful model for batches of 2 accepts 3 sequences in predict() and returns 4 outputs."""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input(batch_shape=(2, 3, 4))
model = keras.Model(inputs, keras.layers.LSTM(5, stateful=True)(inputs))
try:
    output = model.predict(np.ones((3, 3, 4), "float32"), batch_size=2, verbose=0)
except Exception as error:
    print(f"predict raised {type(error).__name__}, as it should")
    sys.exit(0)
print(f"3 sequences gave {len(output)} outputs")
sys.exit(1)
