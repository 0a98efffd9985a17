"""Keras on JAX and PyTorch: a float64 LSTM computes partly in float32."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


rng = np.random.default_rng(0)
x = rng.normal(size=(2, 5, 3))
kernel, recurrent_kernel, bias = rng.normal(size=(3, 16)), rng.normal(size=(4, 16)), rng.normal(size=16)
hidden = cell = np.zeros((2, 4))
for t in range(5):
    i, f, g, o = np.split(x[:, t] @ kernel + hidden @ recurrent_kernel + bias, 4, axis=1)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(cell)
layer = keras.layers.LSTM(4)
layer.build(x.shape)
layer.set_weights([kernel, recurrent_kernel, bias])
actual = keras.ops.convert_to_numpy(layer(x, mask=np.ones((2, 5), bool)))
error = float(np.abs(actual - hidden).max())
print(f"an output of dtype {actual.dtype} is off by {error:.1e}")
sys.exit(int(error > 1e-14))
