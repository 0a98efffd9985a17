"""Keras on TensorFlow: under mixed_bfloat16 the gradient of a bias is summed over the batch in bfloat16.

`keras.ops.add` of a vector is `tf.nn.bias_add`. Its gradient keeps a running sum in bfloat16, which has 8 bits. A term
that is 256 times smaller adds nothing to that sum.
"""

import sys

import keras
import numpy as np


def moved(policy):
    """Return the change of the biases of an LSTM and a Dense above it in one step of plain SGD."""
    inputs = keras.Input((2, 3))
    lstm = keras.layers.LSTM(4, return_sequences=True, dtype=policy)
    dense = keras.layers.Dense(2, dtype=policy)
    model = keras.Model(inputs, keras.layers.TimeDistributed(dense, dtype=policy)(lstm(inputs)))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(rng.normal(size=(2000, 2, 3)).astype("float32"), np.full((2000, 2, 2), 3, "float32"))
    return [model.get_weights()[index] - before[index] for index in (2, 4)]


wrong = False
for name, half, single in zip(("LSTM", "Dense"), moved("mixed_bfloat16"), moved("float32"), strict=True):
    error = np.abs(half - single).max() / np.abs(single).max()
    wrong |= bool(error > 0.05)
    print(f"one step on 2000 sequences moves the bias of {name} otherwise than in float32 by {error:.0%} of it")
sys.exit(int(wrong))
