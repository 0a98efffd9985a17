"""Keras on TensorFlow: OrthogonalRegularizer raises an error for float64 weights."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
try:
    value = keras.regularizers.OrthogonalRegularizer(0.1)(keras.ops.convert_to_tensor(np.eye(3) + 0.5))
except Exception as error:
    print(f"the regularizer raised {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    sys.exit(1)
print(f"the penalty is {float(keras.ops.convert_to_numpy(value)):.6f}")
sys.exit(0)
