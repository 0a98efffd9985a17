"""Keras on TensorFlow: the constants of ReLU and LeakyReLU are rounded to float32 in float64."""

import sys

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
from keras.src.backend.common import dtypes  # noqa: E402

dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else JAX and PyTorch compute in float32: another divergence
x = np.array([-1.0, 0.2, 1.0])
layers = {
    "LeakyReLU(0.3)": (keras.layers.LeakyReLU(0.3), [-0.3, 0.2, 1.0]),
    "ReLU(max_value=0.3)": (keras.layers.ReLU(max_value=0.3), [0.0, 0.2, 0.3]),
}
errors = {}
for name, (layer, desired) in layers.items():
    actual = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(x)))
    errors[name] = float(np.abs(actual - np.array(desired)).max())
print(f"largest errors: {errors}")
sys.exit(int(max(errors.values()) > 1e-12))
