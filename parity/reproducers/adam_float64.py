"""Keras on TensorFlow: a step of Adam in float64 has a relative error of 7e-6, with betas rounded to float32."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
weight = keras.Variable(np.zeros(1), dtype="float64")
optimizer = keras.optimizers.Adam(0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
momentum = velocity = desired = 0.0
for step, gradient in enumerate((1.0, -0.5, 2.0), 1):
    optimizer.apply([keras.ops.convert_to_tensor(np.array([gradient]))], [weight])
    momentum += 0.1 * (gradient - momentum)
    velocity += 0.001 * (gradient**2 - velocity)
    desired -= 0.01 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step) * momentum / (velocity**0.5 + 1e-7)
actual = float(keras.ops.convert_to_numpy(weight.value)[0])
error = abs(actual / desired - 1)
print(f"after three steps {actual:.15f}, expected {desired:.15f}: off by {error:.1e} of it")
sys.exit(int(error > 5e-7))
