"""Keras on TensorFlow and PyTorch: weight_decay skips weights that do not affect the loss.

Their gradient is None there, and the optimizer skips them. On JAX the gradient is zero, and the weights decay.
"""

import sys
import warnings

import keras
import numpy as np

keras.utils.set_random_seed(0)
warnings.simplefilter("ignore")  # that gradients do not exist for some variables
inputs = keras.Input((3, 2))
layer = keras.layers.Bidirectional(keras.layers.LSTM(4), merge_mode=None)
model = keras.Model(inputs, layer(inputs)[0])  # the backward half is not used
model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), "mse")
kernel = layer.backward_layer.cell.kernel
before = keras.ops.convert_to_numpy(kernel)
model.train_on_batch(np.ones((2, 3, 2), "float32"), np.zeros((2, 4), "float32"))
kept = float((keras.ops.convert_to_numpy(kernel) / before).mean())
print(f"one step with weight_decay=0.5 and a learning rate of 0.1 leaves {kept:.3f} of a weight, 0.950 expected")
sys.exit(int(abs(kept - 0.95) > 1e-3))
