"""Keras on TensorFlow: a learning rate schedule gives its rate in float32 where floatx is float64."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
weight = keras.Variable(np.zeros(1), dtype="float64")
optimizer = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.7))
optimizer.build([weight])
optimizer.iterations.assign(3)
optimizer.apply([keras.ops.convert_to_tensor(np.ones(1))], [weight])
actual = -float(keras.ops.convert_to_numpy(weight.value)[0])
error = abs(actual / (0.1 * 0.7**0.3) - 1)
print(f"the rate at step 3 is {actual:.17f}, off by {error:.1e} of it")
sys.exit(int(error > 1e-13))
