"""Keras on TensorFlow: the momentum of SGD and weight_decay are rounded to float32 for float64 weights."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
weight = keras.Variable(np.ones(1), dtype="float64")
optimizer = keras.optimizers.SGD(0.125, momentum=0.9)
velocity, desired = 0.0, 1.0
for gradient in (1.0, -0.5, 2.0):
    optimizer.apply([keras.ops.convert_to_tensor(np.array([gradient]))], [weight])
    velocity = 0.9 * velocity - 0.125 * gradient
    desired += velocity
error = abs(float(keras.ops.convert_to_numpy(weight.value)[0]) / desired - 1)
print(f"after three steps with momentum 0.9 off by {error:.1e} of {desired}")
sys.exit(int(error > 1e-13))
