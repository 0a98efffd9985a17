"""Keras on TensorFlow: gelu and leaky_relu in float64 have errors of 1e-9 to 1e-8."""

import math
import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
from keras.src.backend.common import dtypes  # noqa: E402

dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else JAX and PyTorch compute in float32: another divergence
z = np.random.default_rng(0).normal(size=200)
desired = {
    "gelu": np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in z]),
    "leaky_relu": np.where(z > 0, z, 0.2 * z),
}
errors = {}
for name, values in desired.items():
    actual = keras.activations.get(name)(keras.ops.convert_to_tensor(z))
    errors[name] = float(np.abs(keras.ops.convert_to_numpy(actual) - values).max())
print(f"largest errors: {errors}")
sys.exit(int(max(errors.values()) > 1e-14))
