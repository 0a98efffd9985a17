"""Keras on PyTorch: `fit` adds up the gradients of one of two layers of one name, inside and outside of a model."""

import sys

import keras
import numpy as np


def trained(name):
    """Return the weights after two batches of gradient descent; the name changes no number."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    inside = keras.Model(inputs, keras.layers.Dense(2, name=name, kernel_initializer="ones")(inputs))
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="dense", kernel_initializer="ones")(inside(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    x, y = np.arange(12.0).reshape(4, 3) / 12, np.ones((4, 2))
    model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(weight)) for weight in model.weights])


difference = float(np.abs(trained("dense") - trained("another")).max())
print(f"two layers of one name, or of two: the trained weights differ by {difference:.1e}")
sys.exit(difference > 1e-5)
