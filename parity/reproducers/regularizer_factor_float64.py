"""Keras on TensorFlow: the factors of L1 and L2 are rounded to float32 for float64 weights."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
weight = keras.ops.convert_to_tensor(np.array([1.0, 2.0]))
penalties = {"L1": keras.regularizers.L1(0.1)(weight), "L2": keras.regularizers.L2(0.1)(weight)}
errors = [abs(float(keras.ops.convert_to_numpy(penalties[name])) - right) for name, right in (("L1", 0.3), ("L2", 0.5))]
print(f"with a factor of 0.1, L1 is off by {errors[0]:.1e}, L2 by {errors[1]:.1e}")
sys.exit(int(max(errors) > 1e-14))
